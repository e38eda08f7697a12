"""Observing: everything leaves as it is, and the record says what guarding would have changed."""

from __future__ import annotations

import base64
import copy
import io
import json

import pytest
from cloister.core.policy import policy_from_dict
from cloister.detect.tokens import Tokenizer
from cloister.sidecar.outgoing.inspection import Inspection
from cloister.sidecar.outputs import Outputs
from cloister.sidecar.recorder import KernelFacts, Recorder
from cloister.sidecar.textguard import TextGuard
from cloister.sidecar.wire import Message, make_message

SSN = "219-09-9871"
BUTTON = "<div><button onclick='copy()'>i</button><b>StandardScaler</b></div>"
PARENT = {"msg_id": "p"}


def guard_in(mode: str) -> TextGuard:
    policy = policy_from_dict({"version": 1, "mode": mode}, "0" * 64)
    return TextGuard(policy, Tokenizer(b"t" * 32), None)


def picture_with_a_note() -> str:
    from PIL import Image, PngImagePlugin

    note, file = PngImagePlugin.PngInfo(), io.BytesIO()
    note.add_text("author", "somebody")
    Image.new("RGB", (4, 4)).save(file, "PNG", pnginfo=note)
    return base64.b64encode(file.getvalue()).decode()


def display(**forms: object) -> tuple[str, dict]:
    return "display_data", {"data": forms, "metadata": {}, "transient": {}}


CHANGED = {
    "a reply": ("complete_reply", {"status": "ok", "matches": [SSN], "metadata": {}}),
    "an expression": (
        "execute_reply",
        {"status": "ok", "user_expressions": {"a": {"data": {"text/plain": SSN}}}},
    ),
    "a prompt": ("input_request", {"prompt": f"{SSN}? ", "password": False}),
    "the debugger": ("debug_reply", {"type": "response", "body": {"result": SSN}}),
    "a script in silence": display(**{"text/html": BUTTON}),
    "an address in silence": display(**{"text/html": "<img src='https://example.org/x'>a"}),
    "a note in a picture": display(**{"image/png": picture_with_a_note()}),
    "an unknown type": display(**{"application/x-own": "x", "text/plain": "x"}),
}
UNCHANGED = {
    "words": display(**{"text/plain": "hello"}),
    "lines": display(**{"text/html": ["<b>a</b>", "b"], "text/plain": "x"}),
    "numbers": display(**{"application/json": {"x": [1.5, float("nan"), None, True]}}),
    "a reply": ("complete_reply", {"status": "ok", "matches": ["mean"], "metadata": {}}),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_guarding_would_change_leaves_as_it_is_and_is_told(name):
    kind, content = CHANGED[name]
    message = make_message(kind, copy.deepcopy(content))
    passage = Inspection(guard_in("observe")).look_at(message)
    assert (passage.is_observed, passage.is_sent) == (True, True)
    assert message.content == content


@pytest.mark.parametrize("name", UNCHANGED)
def test_what_guarding_would_leave_alone_is_not_told(name):
    kind, content = UNCHANGED[name]
    assert not Inspection(guard_in("observe")).look_at(make_message(kind, content)).is_observed


class Cell:
    """The outputs of one cell, what a client gets of them, and what is recorded in the end."""

    def __init__(self, mode: str) -> None:
        self.bodies: list[dict] = []
        facts = KernelFacts("k", "ann", None, "s")
        self.recorder = Recorder(
            lambda records: self.bodies.extend(r.body for r in records), facts, lambda: "0", str
        )
        self.got: list[Message] = []
        self.outputs = Outputs(guard_in(mode), self.recorder, self.got.append, lambda _: PARENT)
        self.recorder.begin("p", {}, "code", {}, silent=False)

    def say(self, kind: str, content: dict) -> None:
        message = make_message(kind, content, parent=PARENT)
        take = self.outputs.stream if kind == "stream" else self.outputs.show
        try:
            next(take(message, "p", 100))
        except StopIteration as done:
            if done.value:
                self.got.append(message)

    def end(self) -> dict:
        self.outputs.flush("p")
        self.recorder.finish("p", "ok", 1)
        return self.bodies[-1]["outputs"]

    @property
    def seen(self) -> str:
        return json.dumps([message.content for message in self.got])


@pytest.mark.parametrize("kind", ["stream", "display_data"])
def test_a_value_in_pieces_is_told(kind):
    cell = Cell("observe")
    for piece in (SSN[:6], SSN[6:]):
        content = {"name": "stdout", "text": piece}
        cell.say(*((kind, content) if kind == "stream" else display(**{"text/plain": piece})))
        cell.outputs.flush("p")
    assert cell.end()["observed"] == 1
    assert SSN[:6] in cell.seen
    assert SSN[6:] in cell.seen


def test_a_stream_that_cannot_be_checked_leaves_and_is_told(monkeypatch):
    cell = Cell("observe")

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(TextGuard, "find", fail)
    cell.say("stream", {"name": "stdout", "text": "some words\n"})
    assert cell.end() == {"shown": 1, "masked": 0, "blocked": 0, "observed": 1}
    assert "some words" in cell.seen


def test_what_answers_after_its_cell_is_told_late():
    cell = Cell("observe")
    cell.recorder.observed("another request", cell.recorder.running("p").tally)
    cell.recorder.flush_late(float("inf"))
    assert cell.bodies[-1]["execution_id"] == "another request"
    assert cell.bodies[-1]["observed"] == 1


def test_a_display_without_its_script_is_no_withheld_one():
    cell = Cell("guard")
    cell.say(*display(**{"text/html": BUTTON}))
    assert "StandardScaler" in cell.seen
    assert "onclick" not in cell.seen
    assert cell.end() == {"shown": 1, "masked": 0, "blocked": 0, "neutralised": 1}


def test_a_display_that_is_nothing_but_a_script_is_withheld():
    cell = Cell("guard")
    cell.say(*display(**{"text/html": "<script>go()</script>"}))
    assert "CLO-OUTPUT-009" in cell.seen
    assert cell.end() == {"shown": 0, "masked": 0, "blocked": 1}
