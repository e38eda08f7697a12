"""Tokens come back as values, however a model writes them and however a stream is cut."""

from __future__ import annotations

import json

import pytest
from cloister.sidecar.llm.memory import MOST_TOKENS, Known, Memory
from cloister.sidecar.llm.nesting import Nesting
from cloister.sidecar.llm.restoring import Restorer
from hypothesis import given, settings
from hypothesis import strategies as st

NAME, SSN, MAIL = "PERSON~abcdefghij", "US_SSN~klmnopqrst", "EMAIL_ADDRESS~uvwxyz2345"
VALUES = {NAME: "Anna Berg", SSN: "536-90-4399", MAIL: "anna@example.org"}
KNOWN = Known(VALUES.items())


def restore(text: str, known: Known = KNOWN) -> str:
    return Restorer(known).finish(text)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (NAME, "Anna Berg"),
        (f"Dear {NAME}, your number is {SSN}.", "Dear Anna Berg, your number is 536-90-4399."),
        ("person~abcdefghij", "Anna Berg"),
        ("Person~Abcdefghij", "Anna Berg"),
        ("PERSON~ABCDEFGHIJ", "Anna Berg"),
        ("PERSON ~ abcdefghij", "Anna Berg"),
        ("PERSON~ abcdefghij", "Anna Berg"),
        (f"**{NAME}**", "**Anna Berg**"),
        (f"_{NAME}_", "_Anna Berg_"),
        (f"`{NAME}`", "`Anna Berg`"),
        (f'"{NAME}"', '"Anna Berg"'),
        (f"\u201c{NAME}\u201d", "\u201cAnna Berg\u201d"),
        (f"{NAME}s", "Anna Bergs"),
        (f"{NAME}'s", "Anna Berg's"),
        (r"PERSON\~abcdefghij", "Anna Berg"),
        (r"US\_SSN~klmnopqrst", "536-90-4399"),
        ("US SSN~klmnopqrst", "536-90-4399"),
        ("US-SSN~klmnopqrst", "536-90-4399"),
        ("PERSON&#126;abcdefghij", "Anna Berg"),
        ("PERSON%7Eabcdefghij", "Anna Berg"),
        ("PERSON\uff5eabcdefghij", "Anna Berg"),
        ("PERSON~abcdef", "Anna Berg"),
        ("PERSON~abcdef...", "Anna Berg..."),
        (f"{NAME}{NAME}", "Anna BergAnna Berg"),
        (f"Dear{NAME}", "DearAnna Berg"),
        (f"mailto:{MAIL}", "mailto:anna@example.org"),
    ],
)
def test_what_models_make_of_a_token_is_read(said: str, expected: str) -> None:
    assert restore(said) == expected


@pytest.mark.parametrize(
    "said",
    [
        "PERSON~zzzzzzzzzz",  # made up, or somebody else's
        "US_SSN~abcdefghij",  # the body of another type's token
        "PERSON~abcde",  # too little is left of it
        "PERSON~abcdefg7",  # cut off and changed
        "abcdefghij",
        "~abcdefghij",
        "PERSON~~abcdefghij",  # a reversible one
        "PERSON",
        "PERSON~",
        "a person is known",
        "NAME~abcdefghij",
    ],
)
def test_nothing_else_is_restored(said: str) -> None:
    assert restore(said) == said


def test_what_could_be_two_tokens_is_none() -> None:
    known = Known({"PERSON~abcdefghij": "Anna", "PERSON~abcdefghik": "Berta"}.items())
    assert restore("PERSON~abcdefgh", known) == "PERSON~abcdefgh"
    assert restore("PERSON~abcdefghik", known) == "Berta"


def test_a_value_that_looks_like_a_token_is_not_restored_again() -> None:
    known = Known({"PERSON~abcdefghij": "US_SSN~klmnopqrst", SSN: "536-90-4399"}.items())
    assert restore("PERSON~abcdefghij", known) == "US_SSN~klmnopqrst"
    restorer = Restorer(known)
    said = "".join(restorer.feed(char) for char in "PERSON~abcdefghij") + restorer.finish()
    assert said == "US_SSN~klmnopqrst"


TEXTS = [
    f"Dear {NAME}, your number is {SSN}; write to **{MAIL}**. US_SS and PERSON~abcdef, PERS",
    r"US\_SSN~klmnopqrst and PERSON ~ abcdefghij, US\_SSN\~klmnopqrst; PERSON&#126;abcdefghij",
    json.dumps({"to": NAME, "arguments": json.dumps({"who": [NAME, SSN], "n": '"'}), "x": "\\"}),
    "us_ssn person PERSON~ PERSON~abc us\\",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_cut_anywhere_reads_as_the_whole(text: str) -> None:
    whole = restore(text)
    for at in range(len(text) + 1):
        restorer = Restorer(KNOWN)
        assert restorer.feed(text[:at]) + restorer.feed(text[at:]) + restorer.finish() == whole, at
    restorer = Restorer(KNOWN)
    assert "".join(map(restorer.feed, text)) + restorer.finish() == whole


def test_what_is_no_token_does_not_wait() -> None:
    restorer = Restorer(KNOWN)
    assert restorer.feed("The median is 4. ") == "The median is 4. "
    assert restorer.feed("A token: PERS") == "A token: "
    assert restorer.feed("istence.") == "PERSistence."
    assert restorer.feed(NAME) == "Anna Berg"  # whole at once, nothing to wait for


NASTY = st.text(min_size=1, max_size=12, alphabet='a"\\/\n\t\u00e9\u2028\U0001f600{}[]:,~ ')
LEAF = st.one_of(st.just(NAME), st.integers(-9, 9), st.text(max_size=6), st.none())
DOCUMENT = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        # JSON in a string of JSON, as arguments of tools are
        st.one_of(
            st.lists(inner, min_size=1, max_size=2), st.dictionaries(st.just("k"), inner)
        ).map(json.dumps),
    ),
    max_leaves=8,
)


def replaced(document: object, value: str) -> object:
    """What restoring must come to, by reading and writing each layer."""
    if isinstance(document, dict):
        return {key: replaced(item, value) for key, item in document.items()}
    if isinstance(document, list):
        return [replaced(item, value) for item in document]
    if document == NAME:
        return value
    if isinstance(document, str) and NAME in document:
        return replaced(json.loads(document), value)
    return document


def read(document: object, value: str) -> object:
    """A document with every layer of JSON in strings read."""
    if isinstance(document, dict):
        return {key: read(item, value) for key, item in document.items()}
    if isinstance(document, list):
        return [read(item, value) for item in document]
    if isinstance(document, str) and document != value and document[:1] in ("{", "["):
        try:
            return read(json.loads(document), value)
        except ValueError:
            return document
    return document


@settings(max_examples=200)
@given(
    st.one_of(st.lists(DOCUMENT, min_size=1), st.dictionaries(st.sampled_from("xy"), DOCUMENT)),
    NASTY,
    st.integers(1, 40),
)
def test_json_stays_json_and_values_stay_themselves(
    document: object, value: str, size: int
) -> None:
    known = Known({NAME: value}.items())
    text = json.dumps(document)
    restorer = Restorer(known)
    pieces = [restorer.feed(text[i : i + size]) for i in range(0, len(text), size)]
    restored = json.loads("".join([*pieces, restorer.finish()]))
    assert read(restored, value) == read(replaced(document, value), value)


def test_prose_in_brackets_is_prose() -> None:
    known = Known({NAME: 'Anna "Nan" Berg'}.items())
    assert restore(f'[Note] She said "{NAME}".', known) == '[Note] She said "Anna "Nan" Berg".'
    assert restore(f"{{{NAME}}}", known) == '{Anna "Nan" Berg}'


def test_nesting_survives_escapes_cut_in_two() -> None:
    text = json.dumps({"a": json.dumps({"b": "\u00e9\n\\"})})
    for at in range(len(text)):
        whole, cut = Nesting(), Nesting()
        whole.feed(text[:at])
        for char in text[:at]:
            cut.feed(char)
        assert whole.depth == cut.depth


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    memory = Memory()
    memory.keep([(NAME, "Anna")])
    digits = "abcdefghijklmnopqrstuvwxyz234567"
    memory.keep(
        (
            f"US_SSN~{'a' * 6}{digits[i >> 15 & 31]}{digits[i >> 10 & 31]}{digits[i >> 5 & 31]}"
            f"{digits[i & 31]}",
            "x",
        )
        for i in range(MOST_TOKENS)
    )
    assert memory.known().value("PERSON", "abcdefghij") is None
    assert memory.known().value("US_SSN", "a" * 10) == "x"
