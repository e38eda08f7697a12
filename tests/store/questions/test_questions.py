"""What the record answers, the same from SQLite and PostgreSQL."""

from __future__ import annotations

import hashlib

import pytest
from cloister.store.questions import drawing
from cloister.store.questions.difference import difference, runs_of
from cloister.store.questions.graph import Way, graph
from cloister.store.questions.left import left
from cloister.store.questions.starts import (
    NothingFound,
    executions_named,
    executions_that_made,
)
from cloister.store.questions.timeline import timeline
from cloister.store.questions.touched import Subject, touched
from cloister.store.questions.viewers import viewers
from histories import display, parent, reads, sources, stream

SSN = {"column": "ssn", "level": "restricted", "entity_type": "US_SSN"}


def how(answer):
    return {row["id"]: row["how"] for row in answer["executions"]}


class TestTimeline:
    def test_a_notebook_has_its_own_executions_in_order(self, history, record):
        first = history.run("a", notebook="/w/a.ipynb", cell="c1")
        history.run("b", notebook="/w/b.ipynb")
        third = history.run("c", notebook="/w/a.ipynb", names_defined=["x"])
        rows = timeline(record, "/w/a.ipynb")
        assert [row["id"] for row in rows] == [first, third]
        assert (rows[0]["cell_id"], rows[1]["names_defined"]) == ("c1", ["x"])
        assert timeline(record, "/w/none.ipynb") == []

    def test_pages_follow_each_other(self, history, record):
        names = [history.run(str(i)) for i in range(7)]
        page = timeline(record, "/w/a.ipynb", limit=3)
        before = timeline(record, "/w/a.ipynb", limit=3, before=page[0]["seq"])
        assert [row["id"] for row in [*before, *page]] == names[1:]


class TestTouched:
    def test_readers_of_a_dataset_and_what_was_derived_from_it(self, history, record):
        reader = history.run(
            "r", reads=[reads("/d/p.csv", "patients")], sources=sources("patients")
        )
        derived = history.run("d", parents=[parent(reader, "df")], sources=sources("patients"))
        history.run("other", sources=sources("claims"))
        history.event("catalog.labelled", dataset="patients", column="ssn")
        answer = touched(record, Subject(dataset="patients"))
        assert how(answer) == {reader: ["read"], derived: ["derived"]}
        assert [event["type"] for event in answer["events"]] == ["catalog.labelled"]

    def test_an_open_that_no_hook_reported_was_seen_from_outside(self, history, record):
        name = history.run("raw = os.open(...)")
        history.event(
            "kernel.level_raised", execution_id=name, dataset="patients", seen_by="inotify"
        )
        assert how(touched(record, Subject(dataset="patients"))) == {name: ["opened"]}

    def test_a_column_of_one_dataset_and_not_its_namesake(self, history, record):
        read = history.run("r", reads=[reads("/d/p.csv", "patients", columns=[SSN])])
        named = history.run("n", columns_used=[{**SSN, "of": "patients"}])
        namesake = history.run("o", reads=[reads("/d/c.csv", "claims", columns=[SSN])])
        column = {"column": "number", "from": ["ssn of p.csv"], "steps": ["renamed"]}
        frame = {"name": "out", "kind": "pandas.DataFrame", "columns": [column]}
        carried = history.run("f", frames=[frame])
        of_patients = how(touched(record, Subject(dataset="patients", column="ssn")))
        assert of_patients == {read: ["read"], named: ["named"]}
        assert how(touched(record, Subject(column="ssn"))) | of_patients == {
            read: ["read"],
            named: ["named"],
            namesake: ["read"],
        }
        assert how(touched(record, Subject(column="number"))) == {carried: ["carried"]}

    def test_a_file_a_host_and_a_person(self, history, record):
        wrote = history.run("w", writes=[{"written": "/w/o.csv"}])
        read = history.run("r", reads=[reads("/w/o.csv")], sources=sources("/w/o.csv"))
        sent = history.run("s")
        history.event("egress.allowed", execution_id=sent, host="api.example.org", port=443)
        showed = history.run("p", subjects=[{"subject": "0123456789abcdef"}])
        assert how(touched(record, Subject(path="/w/o.csv"))) == {wrote: ["wrote"], read: ["read"]}
        assert how(touched(record, Subject(host="api.example.org"))) == {sent: ["sent"]}
        people = Subject(people=("ffffffffffffffff", "0123456789abcdef"))
        assert how(touched(record, people)) == {showed: ["showed"]}


class TestGraph:
    @pytest.fixture
    def figure(self, history, tmp_path):
        """A figure made in one kernel of a file that another wrote of a dataset."""
        png = tmp_path / "figure.png"
        png.write_bytes(b"\x89PNG pixels")
        import base64

        data = {"image/png": base64.b64encode(png.read_bytes()).decode()}
        one = history.run(
            "df = read", kernel="k1", reads=[reads("/d/p.csv", "patients")],
            sources=sources("patients"),
        )  # fmt: skip
        two = history.run(
            "df.to_csv()", kernel="k1", parents=[parent(one, "df")],
            writes=[{"written": "/w/o.csv"}], sources=sources("patients"),
        )  # fmt: skip
        three = history.run(
            "o = read", kernel="k2", reads=[reads("/w/o.csv")], sources=sources("/w/o.csv")
        )
        history.run("unrelated", kernel="k2")
        four = history.run(
            "o.plot()", kernel="k2", parents=[parent(three, "o")], displayed=[display(data)]
        )
        return png, [one, two, three, four]

    def test_a_figure_goes_back_to_its_files_through_two_kernels(self, record, figure):
        png, names = figure
        start = executions_that_made(record, png)
        assert start == names[-1:]
        found = graph(record, start)
        assert {n for n in found.nodes if n.startswith("execution")} == {
            f"execution:{name}" for name in names
        }
        assert [node.id for node in found.roots()] == ["dataset:patients"]
        edges = {(edge.source, edge.target, edge.what) for edge in found.edges}
        assert ("file:/w/o.csv", f"execution:{names[2]}", "read") in edges
        assert (f"execution:{names[1]}", "file:/w/o.csv", "wrote") in edges

    def test_a_dataset_goes_on_to_what_was_made_of_it(self, record, figure):
        _, names = figure
        found = graph(record, names[:1], way=Way.ON)
        assert {f"execution:{name}" for name in names} <= set(found.nodes)

    def test_a_moved_file_is_known_by_its_content(self, history, record, tmp_path):
        model = tmp_path / "renamed.pkl"
        model.write_bytes(b"weights")
        made = history.run("train", writes=[{"written": "/w/model.pkl"}])
        digest = hashlib.sha256(b"weights").hexdigest()
        history.event(
            "file.fingerprinted", execution_id=made, path="/w/model.pkl", how="written",
            sha256=digest, size=7,
        )  # fmt: skip
        assert executions_that_made(record, model) == [made]
        assert executions_named(record, digest) == [made]
        assert executions_named(record, "/w/model.pkl") == [made]
        model.write_bytes(b"other")
        with pytest.raises(NothingFound):
            executions_that_made(record, model)

    def test_a_long_history_is_cut_and_says_so(self, history, record):
        name = history.run("0")
        for i in range(12):
            name = history.run(str(i), parents=[parent(name, "x")])
        found = graph(record, [name], most=5)
        assert (len(found.nodes), found.is_cut) == (5, True)
        assert not graph(record, [name]).is_cut

    def test_drawings_take_no_names_for_more_than_text(self, history, record):
        evil = 'x"] --> y; end\n"\\'
        name = history.run("w", writes=[{"written": f"/w/{evil}"}])
        found = graph(record, [name])
        lines = drawing.mermaid(found).splitlines()
        assert lines[0] == "flowchart LR"
        assert len(lines) == 1 + len(found.nodes) + len(found.edges)
        assert '"] -->' not in "".join(lines[1:-1])
        assert drawing.dot(found).count("\n") == 3 + len(found.nodes) + len(found.edges)


class TestLeftAndViewers:
    def test_what_left_says_where_and_by_which_rule(self, history, record):
        name = history.run("post", user="ann", sources=sources("patients"))
        history.event(
            "egress.allowed", execution_id=name, host="h.example", port=443, decision="allow",
            rule="egress.allow[0]", bytes_out=12, phase="closed", attested_by="proxy",
        )  # fmt: skip
        history.event(
            "file.leaving", user="bob", file="n.ipynb", destination="download", outcome="masked",
            values={"US_SSN": 2}, attested_by="server",
        )  # fmt: skip
        file, connection = left(record)
        assert (connection["where"], connection["rule"]) == ("h.example:443", "egress.allow[0]")
        assert (connection["user"], connection["bytes"]) == ("ann", 12)
        assert (connection["sources"], connection["attested_by"]) == (["patients"], "proxy")
        assert (file["what"], file["decision"], file["found"]) == ("file", "masked", {"US_SSN": 2})
        assert [line["user"] for line in left(record, user="ann")] == ["ann"]
        assert left(record, limit=1, user="ann") == [connection]

    def test_who_saw_the_most_by_source(self, history, record):
        def amount(cells):
            return {"rows": 1, "cells": cells, "bytes": cells * 2}

        history.run("a", user="ann", sources=sources("patients"), amount=amount(5))
        history.run("b", user="bob", sources=sources("patients", "claims"), amount=amount(50))
        history.run("c", user="ann", amount=amount(7))
        lines = [(v["user"], v["source"], v["cells"]) for v in viewers(record)]
        assert lines[0] in {("bob", "patients", 50), ("bob", "claims", 50)}
        assert lines[2:] == [("ann", None, 7), ("ann", "patients", 5)]
        assert [v["user"] for v in viewers(record, source="claims")] == ["bob"]
        assert viewers(record, since_us=2**60) == []
        everything = viewers(record, since_us=0, user="ann")
        assert sum(v["executions"] for v in everything) == 2


class TestDifference:
    def test_code_data_outputs_and_surroundings(self, history, record):
        read = reads("/w/i.csv", sha256="1" * 64)
        history.run("same", kernel="k1", cell="c1", displayed=[stream("1")], environment="e1")
        history.run("data", kernel="k1", cell="c2", reads=[read], environment="e1")
        history.run("old", kernel="k1", cell="c3", environment="e1")
        history.run("gone", kernel="k1", cell="c4", environment="e1")
        history.run("same", kernel="k2", cell="c1", displayed=[stream("1")], environment="e2")
        history.run(
            "data", kernel="k2", cell="c2", reads=[{**read, "sha256": "2" * 64}], environment="e2"
        )
        history.run("new", kernel="k2", cell="c3", displayed=[stream("2")], environment="e2")
        answer = difference(runs_of(record, "k1"), runs_of(record, "k2"))
        assert answer["facts"] == {"environment": {"before": "e1", "after": "e2"}}
        changes = {cell["cell_id"]: (cell["change"], cell["what"]) for cell in answer["cells"]}
        assert changes["c1"] == ("same", [])
        assert changes["c2"] == ("changed", ["data"])
        assert changes["c3"] == ("changed", ["code", "outputs", "dispositions"])
        assert changes["c4"] == ("removed", [])

    def test_two_executions_are_compared_as_they_are(self, history, record):
        one, two = history.run("a"), history.run("a")
        assert difference(runs_of(record, one), runs_of(record, two))["same"]
        assert runs_of(record, "nothing-like-it") == []
