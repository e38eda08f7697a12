"""What a notebook holds, and that cutting and masking leave the rest as it was."""

from __future__ import annotations

import json

import pytest
from cloister.core.policy import policy_from_dict
from cloister.detect.jsonplaces import JsonUnclear, Kind, read_json
from cloister.detect.notebookcuts import cut
from cloister.detect.notebookmask import mask_notebook
from cloister.detect.notebooks import Part, scan_notebook
from cloister.detect.tokens import Tokenizer
from cloister.detect.valuefinder import ValueFinder
from hypothesis import given, settings
from hypothesis import strategies as st

FINDER = ValueFinder(policy_from_dict({"version": 1}, "0"), Tokenizer(b"k" * 32))
SSN = "512-34-6789"

WORDS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


def notebook(outputs, **cell):
    code = {"cell_type": "code", "source": "x", "metadata": {}, "outputs": outputs, **cell}
    return {"cells": [code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def leaf(place):
    if place.kind is Kind.OBJECT:
        return {item.name: leaf(item) for item in place.items}
    if place.kind is Kind.ARRAY:
        return [leaf(item) for item in place.items]
    return place.text if place.kind is Kind.STRING else json.loads(place.text)


@given(JSON, st.sampled_from([None, 1, 4]), st.booleans())
def test_places_are_what_json_says(document, indent, ascii_only):
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    root = read_json(text)
    assert leaf(root) == json.loads(text)
    for place in root.walk():
        assert leaf(place) == json.loads(text[place.start : place.end])


@pytest.mark.parametrize("text", ["", "{", "[1,]", '{"a":1,}', "01", "NaN", '"\t"', "[1] 2", "tru"])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(JsonUnclear):
        read_json(text)


@settings(max_examples=60)
@given(st.lists(st.booleans(), max_size=6), st.sampled_from([None, 1, 2]))
def test_whichever_outputs_go_the_others_are_untouched(dirty, indent):
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": f"ssn {SSN}\n" if bad else f"no {n}\n"}
        for n, bad in enumerate(dirty)
    ]
    text = json.dumps(notebook(outputs), indent=indent)
    kept = cut(text, scan_notebook(text, FINDER.find).offences)
    expected = notebook([o for o, bad in zip(outputs, dirty, strict=True) if not bad])
    assert json.loads(kept) == expected
    if indent is None:
        assert kept == json.dumps(expected)
    assert not scan_notebook(kept, FINDER.find).offences


def test_masking_keeps_structure_and_is_idempotent():
    body = notebook(
        [{"output_type": "stream", "name": "stdout", "text": ["ssn 512-34", "-6789\n"]}]
    )
    body["cells"][0]["source"] = [f"a = '{SSN}'\n", "b = 2"]
    text = json.dumps(body, indent=1)
    masked, found = mask_notebook(text, FINDER.mask)
    assert found
    assert "6789" not in masked
    assert json.loads(masked)["cells"][0]["cell_type"] == "code"
    assert mask_notebook(masked, FINDER.mask) == (masked, {})


@pytest.mark.parametrize("drawn", ["12345678", "55501234", "5125550166", "a3f4b2c1"])
def test_ids_that_jupyter_draws_are_no_numbers_of_anybody(drawn):
    text = json.dumps(notebook([], id=drawn[:8]))
    assert not scan_notebook(text, FINDER.find).offences


def test_an_id_of_ones_own_is_looked_at():
    text = json.dumps(notebook([], id=f"ssn {SSN}"))
    (offence,) = scan_notebook(text, FINDER.find).offences
    assert offence.part is Part.OTHER
    assert not offence.is_cut
