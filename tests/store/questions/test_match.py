"""A saved notebook is what was executed, or it is said which cell is not."""

from __future__ import annotations

import copy

import pytest
from cloister.store.questions.match import match
from cloister.store.questions.saved import NotebookUnreadable
from histories import display, stream


def cell(source, *outputs, name="c1", count=1):
    return {
        "cell_type": "code",
        "id": name,
        "source": source,
        "execution_count": count,
        "metadata": {},
        "outputs": list(outputs),
    }


def notebook(*cells):
    markdown = {"cell_type": "markdown", "id": "m", "source": "# Title", "metadata": {}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [markdown, *cells]}


def printed(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def verdicts(record, *cells, name="/w/a.ipynb"):
    return [line["verdict"] for line in match(record, notebook(*cells), name=name)["cells"]]


DATA = {"text/html": "<b>1</b>", "text/plain": "1"}


@pytest.fixture
def ran(history):
    history.run("print(1)", cell="c1", displayed=[stream("1\n2\n"), display(DATA)])


def shown(data=None):
    return {"output_type": "display_data", "data": data or DATA, "metadata": {}}


def test_what_a_client_saved_matches_however_it_split_its_lines(record, ran):
    assert verdicts(record, cell("print(1)", printed(["1\n", "2\n"]), shown())) == ["matches"]
    # nbclient keeps the pieces of a stream apart.
    assert verdicts(record, cell(["print(1)"], printed("1\n"), printed("2\n"), shown())) == [
        "matches"
    ]


@pytest.mark.parametrize(
    ("outputs", "what"),
    [
        ([printed("1\n3\n"), shown()], "changed"),
        ([printed("1\n2\n", "stderr"), shown()], "changed"),
        ([printed("1\n2\n"), shown({**DATA, "text/html": "<b>9</b>"})], "changed"),
        ([printed("1\n2\n"), shown({"text/plain": "1"})], "changed"),
        ([printed("1\n2\n")], "missing"),
        ([printed("1\n2\n"), shown(), shown()], "added"),
        ([shown(), printed("1\n2\n")], "changed"),
    ],
)
def test_a_forged_output_is_named(record, ran, outputs, what):
    answer = match(record, notebook(cell("print(1)", *outputs)))
    (line,) = answer["cells"]
    assert (answer["ok"], line["verdict"]) == (False, "outputs differ")
    assert what in {item["what"] for item in line["differs"]}


def test_what_never_ran_what_was_edited_and_what_was_cleared(record, ran):
    assert verdicts(record, cell("print(7)", printed("7\n"), name="new")) == ["never ran"]
    assert verdicts(record, cell("print(7)", printed("1\n2\n"), shown())) == ["edited since it ran"]
    assert verdicts(record, cell("print(1)")) == ["cleared"]
    assert verdicts(record, cell("x = 1", name="new")) == ["not run"]
    assert match(record, notebook(cell("print(1)")))["ok"]


def test_a_notebook_that_was_moved_is_known_by_its_code(record, ran):
    saved = cell("print(1)", printed("1\n2\n"), shown(), name=None)
    assert verdicts(record, saved, name="/elsewhere/b.ipynb") == ["matches"]
    assert verdicts(record, saved, name=None) == ["matches"]


def test_a_number_that_no_execution_had_is_flagged(record, ran):
    right = cell("print(1)", printed("1\n2\n"), shown(), count=1)
    assert verdicts(record, right) == ["matches"]
    assert verdicts(record, {**right, "execution_count": 99}) == ["number differs"]


def test_an_older_run_of_the_same_code_still_matches(history, record):
    first = history.run("f()", cell="c1", displayed=[stream("1\n")])
    history.run("f()", cell="c1", displayed=[stream("2\n")])
    (line,) = match(record, notebook(cell("f()", printed("1\n"), count=1)))["cells"]
    assert (line["verdict"], line["execution"]) == ("matches", first)


def test_an_update_from_another_cell_counts(history, record):
    history.run("h = show()", cell="c1", displayed=[display({"text/plain": "1"}, display="d1")])
    old, new = shown({"text/plain": "1"}), shown({"text/plain": "2"})
    assert verdicts(record, cell("h = show()", old)) == ["matches"]
    forms = display({"text/plain": "2"})["forms"]
    history.run("h.update()", cell="c2", display_updates=[{"display": "d1", "forms": forms}])
    assert verdicts(record, cell("h = show()", new)) == ["matches"]
    assert verdicts(record, cell("h = show()", old)) == ["outputs differ"]


def test_what_came_after_the_end_of_a_cell_may_stand_there_or_not(history, record):
    name = history.run("thread()", cell="c1", displayed=[display(DATA)])
    history.event("output.late", execution_id=name, displayed=[stream("late\n")], count=1)
    assert verdicts(record, cell("thread()", shown())) == ["matches"]
    assert verdicts(record, cell("thread()", shown(), printed("late\n"))) == ["matches"]
    assert verdicts(record, cell("thread()", shown(), printed("other\n"))) == ["outputs differ"]


def test_order_and_kernels_are_told(history, record):
    history.run("b", cell="c2", displayed=[stream("b")], kernel="k1")
    history.run("a", cell="c1", displayed=[stream("a")], kernel="k2")
    cells = [cell("a", printed("a"), count=2), cell("b", printed("b"), name="c2", count=1)]
    answer = match(record, notebook(*cells))
    assert (answer["ok"], answer["in_order"], answer["one_kernel"]) == (True, False, False)


@pytest.mark.parametrize("bad", [None, [], {}, {"cells": 1}, {"cells": [1]}])
def test_what_is_no_notebook_is_refused(record, bad):
    with pytest.raises(NotebookUnreadable):
        match(record, bad)


def test_the_notebook_is_not_changed(record, ran):
    content = notebook(cell("print(1)", printed("1\n2\n"), shown()))
    before = copy.deepcopy(content)
    match(record, content)
    assert content == before
