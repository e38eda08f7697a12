# ruff: noqa: RUF001 - odd characters are the point
"""Types and values that an admin states: in text, columns, Presidio, the gate and checks."""

from __future__ import annotations

import copy

import pytest
from cloister.core.errors import PolicyInvalid
from cloister.core.labels import Level
from cloister.core.policy import policy_from_dict
from cloister.core.recognizers import AllowList, RecognizerPattern, RecognizerRule
from cloister.detect.recognizers import EMPTY, Recognizers
from cloister.detect.spans import Span
from cloister.detect.text import find_spans
from cloister.detect.tokens import Tokenizer
from cloister.hooks.policyview import view_from_dict
from cloister.sidecar.textguard import Tally, TextGuard
from cloister.store.policy import check_policy
from hypothesis import given
from hypothesis import strategies as st

STATED = {
    "version": 1,
    "recognizers": [
        {
            "name": "Staff number",
            "supported_entity": "EMPLOYEE_ID",
            "level": "confidential",
            "supported_languages": [{"language": "en", "context": ["badge"]}, "de"],
            "patterns": [
                {"name": "prefixed", "regex": r"\bEMP-\d{6}\b", "score": 0.9},
                {"name": "bare", "regex": r"\b\d{6}\b", "score": 0.2},
            ],
            "context": ["employee", "staff"],
        },
        {
            "name": "Projects",
            "supported_entity": "PROJECT",
            "deny_list": ["Blue Heron", "Zürich", "Nightjar"],
        },
        {
            "name": "Off",
            "supported_entity": "NOTHING",
            "deny_list": ["weather"],
            "enabled": False,
        },
    ],
    "allow_list": ["support@example.org", "EMP-000000"],
}
POLICY = policy_from_dict(STATED, "0" * 64)
RECOGNIZERS = Recognizers.of(POLICY)


def found(text, recognizers=RECOGNIZERS):
    return [(s.entity_type, text[s.start : s.end]) for s in recognizers.find(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id emp-123456 left", [("EMPLOYEE_ID", "emp-123456")]),
        ("the weather: 123456 drops", []),
        ("employee 123456 left", [("EMPLOYEE_ID", "123456")]),
        ("badge: 123456", [("EMPLOYEE_ID", "123456")]),
        ("about blue\n heron", [("PROJECT", "blue\n heron")]),
        ("Blue Herons and Nightjars", []),
        ("in ZÜRICH.", [("PROJECT", "ZÜRICH")]),
        ("full width ＥＭＰ-１２３４５６ end", [("EMPLOYEE_ID", "ＥＭＰ-１２３４５６")]),
        ("hidden EMP\u200b-12345\u200b6 end", [("EMPLOYEE_ID", "EMP\u200b-12345\u200b6")]),
        ("EMP-000000 is everybody's", []),
        ("EMPLOYEE_ID~k3f7x2abqd [Nightjar", [("PROJECT", "Nightjar")]),
        ("\ud800 EMP-123456", [("EMPLOYEE_ID", "EMP-123456")]),
    ],
)
def test_finds_what_the_admin_states_and_no_more(text, expected):
    assert found(text) == expected


def test_a_mask_is_never_looked_into():
    rule = RecognizerRule("r", "r", "X", (RecognizerPattern("[a-z]{4}", 0.9),))
    assert Recognizers((rule,)).find("US_SSN~k3f7x2abqd") == []


def test_text_has_the_built_in_and_the_stated_types_without_overlap():
    text = "EMP-123456 wrote to ada@mail.example and support@example.org"
    assert [(s.entity_type, text[s.start : s.end]) for s in find_spans(text, RECOGNIZERS)] == [
        ("EMPLOYEE_ID", "EMP-123456"),
        ("EMAIL_ADDRESS", "ada@mail.example"),
    ]


def test_the_allow_list_can_hold_patterns_that_match_whole_values():
    allowed = Recognizers((), AllowList((r".*@example\.org", "a"), is_regex=True))
    text = "ada@example.org, ada@example.org.test"
    assert [text[s.start : s.end] for s in find_spans(text, allowed)] == ["ada@example.org.test"]
    assert allowed.is_allowed(" BOB@example.org ")
    assert not allowed.is_allowed("ada")


def test_columns_count_whole_values_and_their_name_is_the_context():
    values = ["EMP-123456", "123456", "EMP-000000", "x EMP-123456", "Nightjar", ""]
    assert RECOGNIZERS.count(values) == {"EMPLOYEE_ID": 1, "PROJECT": 1}
    assert RECOGNIZERS.count(values, name="staff_no") == {"EMPLOYEE_ID": 2, "PROJECT": 1}


def test_a_level_of_a_recogniser_yields_to_entities():
    assert POLICY.level_of("EMPLOYEE_ID") is Level.CONFIDENTIAL
    assert POLICY.level_of("PROJECT") is Level.RESTRICTED, "unknown types fail closed"
    stated = {**STATED, "entities": {"EMPLOYEE_ID": "public"}}
    assert policy_from_dict(stated, "").level_of("EMPLOYEE_ID") is Level.PUBLIC


def test_the_gate_masks_stated_types_and_shows_allowed_values():
    guard = TextGuard(POLICY, Tokenizer(b"k" * 32), None)
    tally = Tally()
    masked = guard.mask("EMP-123456, Blue Heron, support@example.org", tally)
    assert masked.endswith("support@example.org")
    assert "123456" not in masked
    assert "Heron" not in masked
    assert tally.masked == {"EMPLOYEE_ID": 1, "PROJECT": 1}


def test_presidio_knows_the_stated_types():
    from cloister.detect.second_opinion import SecondOpinion

    spans = SecondOpinion(RECOGNIZERS).find("EMP-123456 saw a Nightjar")
    assert {s.entity_type for s in spans} >= {"EMPLOYEE_ID", "PROJECT"}


def test_a_kernels_view_has_patterns_but_no_deny_list():
    view = view_from_dict(
        {
            "name": "n",
            "digest": "d",
            "display": {"public": "show"},
            "recognizers": [r.as_dict(deny_list=False) for r in POLICY.recognizers if r.patterns],
            "allow_list": list(POLICY.allow_list.values),
            "allow_list_match": "exact",
        }
    )
    assert found("EMP-123456 Nightjar", Recognizers.of(view)) == [("EMPLOYEE_ID", "EMP-123456")]
    assert Recognizers.of(view).is_allowed("support@example.org")


def test_equal_statements_share_one_object_and_travel_as_what_was_stated():
    again = Recognizers.of(policy_from_dict(STATED, "1" * 64))
    assert again is RECOGNIZERS
    assert copy.deepcopy(RECOGNIZERS).find("EMP-123456") == [Span(0, 10, "EMPLOYEE_ID", 0.9)]
    assert Recognizers.of(policy_from_dict({"version": 1}, "")) is EMPTY
    assert not EMPTY


@pytest.mark.parametrize(
    ("regex", "said"),
    [
        (r"(?<!\\w)EMP", "looks ahead or behind"),
        (r"EMP(?=\\d)", "looks ahead or behind"),
        (r"(a)\\1", "refers back"),
        (r"[", "missing ]"),
        (r"\\d*", "matches nothing"),
    ],
)
def test_policy_check_refuses_a_pattern_with_the_reason_and_the_line(tmp_path, regex, said):
    file = tmp_path / "policy.yaml"
    file.write_text(
        "version: 1\nrecognizers:\n  - name: n\n    supported_entity: X\n    patterns:\n"
        f'      - {{regex: "{regex}", score: 1}}\nallow_list: ["["]\n'
    )
    (problem,) = check_policy(file)
    assert problem.line == 6
    assert problem.path == "recognizers[0].patterns[0].regex"
    assert said in problem.message


def test_policy_check_refuses_bad_allow_patterns_and_empty_recognisers(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(
        "version: 1\nallow_list: ['[']\nallow_list_match: regex\n"
        "recognizers:\n  - {name: n, supported_entity: X}\n"
    )
    assert [(p.line, p.message.partition(":")[0]) for p in check_policy(file)] == [
        (2, "RE2 refuses the pattern"),
        (5, "patterns or deny_list is missing"),
    ]


def test_a_pattern_that_was_never_checked_is_refused_where_it_would_run():
    with pytest.raises(PolicyInvalid, match=r"recognizers\[0\]"):
        Recognizers((RecognizerRule("recognizers[0]", "n", "X", (RecognizerPattern("(", 1),)),))


@given(st.text(max_size=80))
def test_any_text_is_searched_and_offsets_are_inside_it(text):
    for span in RECOGNIZERS.find(text):
        assert 0 <= span.start < span.end <= len(text)


@given(st.text(" \nxü１\u200b", max_size=12), st.text(" \n-ü", max_size=12))
def test_a_stated_value_is_found_wherever_it_stands(before, after):
    text = f"{before} EMP-123456 {after}"
    assert ("EMPLOYEE_ID", "EMP-123456") in found(text)
