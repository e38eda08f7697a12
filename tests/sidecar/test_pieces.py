"""A value in pieces, cut anywhere, over any mix of channels: not all of its pieces leave."""

from __future__ import annotations

from itertools import pairwise

import pytest
from cloister.core.policy import policy_from_dict
from cloister.detect.exact import ExactIndex
from cloister.detect.tokens import Tokenizer
from cloister.sidecar.lanes import Work
from cloister.sidecar.outputs import Outputs
from cloister.sidecar.recorder import KernelFacts, Recorder
from cloister.sidecar.textguard import TextGuard
from cloister.sidecar.wire import Message, make_message
from hypothesis import example, given, settings
from hypothesis import strategies as st

NAME = "Zebulon Quartermain"
SSN = "219-09-9871"
CARD = "4539 5787 6362 1486"
PARENT = {"msg_id": "p"}
INDEX = ExactIndex(b"k" * 32)
INDEX.add("PERSON", [NAME])


class Client:
    """The outputs of a kernel, and what a client has got of them, in order."""

    def __init__(self) -> None:
        policy = policy_from_dict({"version": 1}, "0" * 64)
        guard = TextGuard(policy, Tokenizer(b"t" * 32), INDEX)
        facts = KernelFacts("k", "ann", None, "s")
        recorder = Recorder(lambda _records: None, facts, lambda: "0" * 64, str)
        self.got: list[Message] = []
        self.outputs = Outputs(guard, recorder, self.got.append, lambda _: PARENT)

    def say(self, channel: str, text: str, number: int) -> None:
        kind, content = CHANNELS[channel](text, number)
        message = make_message(kind, content, parent=PARENT)
        if kind == "stream":
            finish(self.outputs.stream(message, "p", 100))
            self.outputs.settle()
        elif kind.endswith("_reply") or kind == "input_request":
            if finish(self.outputs.reply(message, "p", 100)).passage.is_sent:
                self.got.append(message)
        elif finish(self.outputs.show(message, "p", 100)):
            self.got.append(message)

    @property
    def seen(self) -> str:
        """All that has arrived, without what stands between the texts."""
        return "".join(s for m in self.got for s in strings(m.content) if s not in NO_TEXT)


NO_TEXT = {"stdout", "stderr", "ok", "error", "c", "E", "update", "text/plain", "text/html"}


def strings(value: object):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def finish(work: Work):
    """Runs work that checks nothing elsewhere."""
    try:
        next(work)
    except StopIteration as done:
        return done.value
    raise AssertionError("a small message is checked in the gate")


def display(mime):
    return lambda text, _: ("display_data", {"data": {mime: text}, "metadata": {}})


CHANNELS = {
    "stdout": lambda text, _: ("stream", {"name": "stdout", "text": text}),
    "stderr": lambda text, _: ("stream", {"name": "stderr", "text": text}),
    "plain": display("text/plain"),
    "html": display("text/html"),
    "repr": lambda text, n: display("text/plain")(repr(text), n),
    "update": lambda text, _: (
        "update_display_data",
        {"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": "d"}},
    ),
    "result": lambda text, n: (
        "execute_result",
        {"data": {"text/plain": repr(text)}, "metadata": {}, "execution_count": n},
    ),
    "error": lambda text, _: ("error", {"ename": "E", "evalue": text, "traceback": [text]}),
    "widget": lambda text, n: (
        "comm_msg",
        {"comm_id": "c", "data": {"method": "update", "state": {"value": text}}},
    ),
    "other widget": lambda text, n: (
        "comm_msg",
        {"comm_id": f"{n}", "data": {"method": "update", "state": {"description": text}}},
    ),
    "json": lambda text, n: display("application/json")({"a": [text]}, n),
    "prompt": lambda text, _: ("input_request", {"prompt": text, "password": False}),
}
NAMES = sorted(CHANNELS)


@st.composite
def cuts(draw):
    """A value, where it is cut, and the channel of each piece."""
    value = draw(st.sampled_from([NAME, SSN, CARD]))
    places = draw(st.lists(st.integers(3, len(value) - 3), min_size=1, max_size=3, unique=True))
    edges = [0, *sorted(places), len(value)]
    pieces = [value[a:b] for a, b in pairwise(edges)]
    return value, pieces, [draw(st.sampled_from(NAMES)) for _ in pieces]


@settings(max_examples=300)
@given(cuts())
@example((SSN, [SSN[:6], SSN[6:]], ["stdout", "result"]))
@example((SSN, [SSN[:6], SSN[6:]], ["result", "stdout"]))
def test_not_all_pieces_of_a_value_leave(cut):
    value, pieces, channels = cut
    client = Client()
    for number, (piece, channel) in enumerate(zip(pieces, channels, strict=True)):
        client.say(channel, piece, number)
    client.outputs.flush("p")
    seen = client.seen.replace("'", "")
    left = [piece in seen for piece in pieces]
    assert not all(left), (pieces, channels)
    assert value not in seen


@pytest.mark.parametrize("channel", NAMES)
def test_ordinary_pieces_leave(channel):
    client = Client()
    for number, word in enumerate(["alpha", "beta 12", "gamma", "3.14159", "step 7 of 90"]):
        client.say(channel, word, number)
    client.outputs.flush("p")
    assert client.seen.replace("'", "").count("alpha") >= 1
    assert "step 7 of 90" in client.seen
    assert "withheld" not in client.seen
