"""Streams: values split over writes, order, and nothing lost."""

from __future__ import annotations

import time

import pytest
from cloister.core.policy import policy_from_dict
from cloister.detect.exact import ExactIndex
from cloister.detect.tokens import Tokenizer
from cloister.sidecar.streams import HOLD_S, StreamHold
from cloister.sidecar.textguard import Tally, TextGuard
from hypothesis import given
from hypothesis import strategies as st

SSN = "219-09-9871"
NAME = "Zebulon Quartermain"
INDEX = ExactIndex(b"k" * 32)
INDEX.add("PERSON", [NAME])


def make_hold():
    policy = policy_from_dict({"version": 1}, "0" * 64)
    return StreamHold(TextGuard(policy, Tokenizer(b"t" * 32), INDEX))


def push_all(pieces, step_s=0.0, gathered=1):
    """Writes pieces, of which so many arrive at once."""
    hold, tally, out, now = make_hold(), Tally(), [], 0.0
    for number, piece in enumerate(pieces):
        out += [hold.flush_one(*key, tally) for key in hold.due(now)]
        hold.push("p", "stdout", piece, now)
        if number % gathered == 0:
            out += [hold.lines(*key, now, tally) for key in hold.ready(now)]
        now += step_s
    out += [hold.flush_one("p", name, tally) for name in hold.held_of("p")]
    return "".join(out)


@given(st.lists(st.text(alphabet="ab c\n\r", max_size=20)), st.integers(1, 5))
def test_clean_text_comes_out_whole_and_in_order(pieces, gathered):
    assert push_all(pieces, gathered=gathered) == "".join(pieces)


@pytest.mark.parametrize("cut", range(1, len(SSN)))
def test_masks_a_value_split_over_two_writes(cut):
    out = push_all(["ssn: " + SSN[:cut], SSN[cut:] + "\n"])
    assert out.startswith("ssn: US_SSN~")
    assert SSN[cut:] not in out or cut > 8


def test_masks_a_value_written_character_by_character():
    assert "219" not in push_all([*("ssn: " + SSN), "\n"])


@pytest.mark.parametrize(
    "pieces",
    [
        ["x", NAME],
        [NAME, "x\n"],
        ["x", NAME, "y\n"],
        ["5", SSN, "6"],
        ["x", f"\x1b[31m{NAME}\x1b[0m\n"],
        ["x", "", NAME],
        ["one\nx", f"{NAME}\ntwo"],
        ["x", *(NAME[i : i + 5] for i in range(0, len(NAME), 5))],
    ],
)
def test_masks_a_value_that_a_write_sets_against_other_letters(pieces):
    out = push_all(pieces)
    assert NAME not in out
    assert SSN not in out
    assert len(out) > len("".join(pieces)) - len(NAME)


@pytest.mark.parametrize("cut", range(1, len(NAME)))
def test_a_value_that_goes_on_over_a_joint_is_masked_whole(cut):
    assert push_all(["x ", NAME[:cut], NAME[cut:], "\n"]).startswith("x PERSON~")


def test_many_letters_one_by_one_take_no_time():
    begin = time.perf_counter()
    push_all(["a"] * 4_000)
    assert time.perf_counter() - begin < 1.0


def test_hides_the_rest_of_a_value_whose_beginning_has_left():
    out = push_all(["ssn: 219-09-98", "71\n"], step_s=HOLD_S * 2)
    assert "71" not in out


def test_an_unfinished_line_leaves_after_the_hold_time():
    hold = make_hold()
    hold.push("p", "stdout", "working", 1.0)
    assert hold.ready(1.0) == []
    assert hold.next_deadline_s() == pytest.approx(1.0 + HOLD_S)
    assert hold.due(1.0 + HOLD_S) == [("p", "stdout")]
    assert hold.flush_one("p", "stdout", Tally()) == "working"
    assert hold.next_deadline_s() is None


def test_text_of_two_requests_is_not_put_together_in_one_message():
    hold = make_hold()
    hold.push("a", "stdout", "219-09", 0.0)
    hold.push("b", "stdout", "-9871\n", 0.0)
    assert "9871" in hold.lines("b", "stdout", 0.0, Tally())
    assert hold.held_of("a") == ["stdout"]
    assert hold.flush_one("a", "stdout", Tally()) == "219-09"


def test_a_very_long_line_is_not_held_for_ever():
    hold = make_hold()
    assert hold.push("p", "stdout", "x" * 100_000, 0.0)
    assert len(hold.lines("p", "stdout", 0.0, Tally())) > 90_000
