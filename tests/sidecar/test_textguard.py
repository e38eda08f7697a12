"""Masking of text and JSON by policy."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from cloister.core.policy import policy_from_dict
from cloister.detect.exact import ExactIndex
from cloister.detect.tokens import Tokenizer
from cloister.sidecar.textguard import Tally, TextGuard
from hypothesis import given
from hypothesis import strategies as st

SSN = "219-09-9871"


def make_guard(display=None, indexed=None):
    index = ExactIndex(b"i" * 32)
    for entity_type, values in (indexed or {}).items():
        index.add(entity_type, values)
    policy = policy_from_dict({"version": 1, "display": display or {}}, "0" * 64)
    return TextGuard(policy, Tokenizer(b"t" * 32), index)


def mask(text, **kwargs):
    return make_guard(**kwargs).mask(text, Tally())


def test_masks_with_a_token_that_is_the_same_for_equal_values():
    guard, tally = make_guard(), Tally()
    out = guard.mask(f"a {SSN} b {SSN}", tally)
    first, second = (word for word in out.split() if word.startswith("US_SSN~"))
    assert first == second
    assert tally.masked == {"US_SSN": 2}


def test_leaves_clean_text_alone():
    text = "epoch 3/10 loss 0.1234 took 12.5 s, 1000000 rows"
    assert mask(text) == text


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [("redact", "x [US_SSN] y"), ("partial", "x [US_SSN …9871] y"), ("show", f"x {SSN} y")],
)
def test_follows_the_policy(treatment, expected):
    assert mask(f"x {SSN} y", display={"restricted": treatment}) == expected


def test_sees_a_value_with_colours_inside():
    out = mask(f"\x1b[31mno {SSN[:5]}\x1b[0m\x1b[1m{SSN[5:]}\x1b[0m end")
    assert SSN[5:] not in out
    assert "US_SSN~" in out
    assert out.startswith("\x1b[31mno ")
    assert out.endswith("\x1b[0m end")


@pytest.mark.parametrize("last", ["IPY_MODEL_51e65", "IPY_MODEL_51e8f108", 97, "x 82"])
def test_a_list_of_letters_as_numbers_is_read_without_what_stands_before_it(last):
    name = "Quirina Stollbergen"
    guard = make_guard(indexed={"PERSON": [name]})
    state = {"kind": "Select", "labels": [str(ord(c)) for c in name], "style": last}
    assert guard.mask_json(state, Tally())["labels"] != state["labels"]


@given(st.text(alphabet="ab \n", max_size=30), st.integers(0, 30))
def test_colours_around_clean_text_stay_where_they_are(text, position):
    coloured = text[:position] + "\x1b[31m" + text[position:]
    assert mask(coloured) == coloured


def test_masks_keys_values_and_depth_of_json():
    guard, tally = make_guard(), Tally()
    out = guard.mask_json({f"k {SSN}": [{"deep": (SSN)}, 1, None, True, 2.5]}, tally)
    assert SSN not in repr(out)
    assert next(iter(out.values()))[1:] == [1, None, True, 2.5]
    assert tally.masked == {"US_SSN": 2}


def test_replaces_json_nested_too_deep_to_check():
    value = SSN
    for _ in range(400):
        value = [value]
    assert SSN not in repr(make_guard().mask_json(value, Tally()))


def test_masks_a_number_that_is_a_known_value():
    guard = make_guard(indexed={"CREDIT_CARD": ["4111111111111111"]})
    out = guard.mask_json({"card": 4111111111111111, "n": 42}, Tally())
    assert out["card"] != 4111111111111111
    assert out["n"] == 42


def test_masks_a_name_that_only_the_index_knows():
    out = mask("hello Maria Lindqvist!", indexed={"PERSON": ["Maria Lindqvist"]})
    assert "Lindqvist" not in out
    assert out.startswith("hello PERSON~")


def test_overwrites_text_in_binary_data_with_the_same_length():
    data = b"\x00\xff" + SSN.encode() + b"\x00"
    out = make_guard().mask_bytes(data, Tally())
    assert out == b"\x00\xff" + b"*" * len(SSN) + b"\x00"


def test_masks_whole_what_inflates_without_end_and_reads_what_is_behind_it():
    bomb = base64.b64encode(gzip.compress(b"a " * 10_000_000)).decode()
    name = base64.b64encode(b"Maria Lindqvist").decode()
    guard, tally = make_guard(indexed={"PERSON": ["Maria Lindqvist"]}), Tally()
    out = guard.mask(f"see {bomb} and {name}.", tally)
    assert tally.masked == {"ENCODED": 1, "PERSON": 1}
    assert len(out) < 100
    assert name not in out


def test_masks_a_value_between_tags():
    out = mask("<b>Ma</b>ria&nbsp;<i>Lindqvist</i>", indexed={"PERSON": ["Maria Lindqvist"]})
    assert "Ma</b>" not in out
    assert "Lindqvist" not in out


NAMES = ["Maria Lindqvist", "Zebulon Quartermain", "Ingrid Vasquez"]


@pytest.mark.parametrize(
    "document",
    [
        {"first": "Maria", "last": "Lindqvist"},
        [{"id": 1, "v": ["Lindqvist", "Maria"]}],
        [{"a": "Maria", "b": "Lindqvist"}, {"a": "Zebulon", "b": "Quartermain"}],
        {"a": ["Maria", "Zebulon", "Ingrid"], "b": ["Lindqvist", "Quartermain", "Vasquez"]},
        {"data": [list("Maria Lindqvist")]},
        {"bytes": [ord(c) for c in "Maria Lindqvist"]},
        dict(enumerate("Maria Lindqvist")),
    ],
)
def test_masks_a_value_in_several_leaves_of_json(document):
    document = json.loads(json.dumps(document))
    before = json.dumps(document)
    guard, tally = make_guard(indexed={"PERSON": NAMES}), Tally()
    out = json.dumps(guard.mask_json(document, tally))
    assert json.dumps(document) == before
    assert tally.masked.keys() == {"PERSON"}
    for piece in ("Maria", "Lindqvist", "Quartermain", "Vasquez", '"M"', "[77"):
        assert piece not in out


def test_masks_a_number_in_several_leaves_of_json():
    guard = make_guard(indexed={"CREDIT_CARD": ["4111222233334444"]})
    for document in (["4111", "2222", "3333", "4444"], {"n": [4111, 2222, 3333, 4444]}):
        assert "3333" not in repr(guard.mask_json(document, Tally()))


@pytest.mark.parametrize(
    "document",
    [
        {"name": "stdout", "text": "Maria went home"},
        {"a": "Maria", "b": {"c": "Lindqvist"}},
        {"a": ["Maria", "Ingrid"], "b": ["Quartermain", "Vasq", "x"]},
        [1, 2, None, True, 2.5, "", [[], {}]],
    ],
)
def test_leaves_leaves_that_make_no_value_alone(document):
    assert make_guard(indexed={"PERSON": NAMES}).mask_json(document, Tally()) == document


@pytest.mark.parametrize(
    "text",
    [f"{SSN[:6]}X\b{SSN[6:]}", f"xxx{SSN[3:]}\r{SSN[:3]}"],
    ids=["backspace", "carriage return"],
)
def test_a_screen_does_not_put_a_value_together(text):
    assert mask(text, indexed={"US_SSN": [SSN]}).startswith("US_SSN~")


def test_a_terminal_does_not_put_a_value_together():
    """No cursor goes back to write over what stands there."""
    assert mask(f"xxx{SSN[3:]}\x1b[11D{SSN[:3]}") == f"xxx{SSN[3:]}{SSN[:3]}"


def test_movements_that_progress_bars_make_stay():
    text = "\x1b[2K\r 45%|####    |\x1b[A\x1b[1m done\x1b[0m"
    assert mask(text) == text
