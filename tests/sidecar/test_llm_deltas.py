"""Events that say pieces of texts: however they are cut and mixed, the texts read as whole ones."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any

from cloister.sidecar.llm.answers import Answer
from cloister.sidecar.llm.memory import Known
from cloister.sidecar.llm.restoring import Restorer
from hypothesis import given, settings
from hypothesis import strategies as st

NAME, SSN = "PERSON~abcdefghij", "US_SSN~klmnopqrst"
KNOWN = Known({NAME: 'Anna "Nan" Berg', SSN: "536-90-4399"}.items())
WORDS = st.sampled_from([NAME, SSN, "person~abcdefghij", "PERSON~abcdef", "PERS", "US_", "a ", "~"])
TEXT = st.lists(WORDS | st.text(max_size=4), max_size=6).map("".join)


def whole(text: str) -> str:
    return Restorer(KNOWN).finish(text)


def restored(stream: bytes, size: int, kind: str) -> str:
    answer = Answer(KNOWN, Counter(), kind, lambda _text: None)
    parts = [answer.feed(stream[i : i + size]) for i in range(0, len(stream), size)]
    return b"".join([*parts, answer.finish()]).decode("utf-8", "surrogatepass")


def cut(text: str, at: list[int]) -> list[str]:
    places = sorted({min(a, len(text)) for a in at} | {0, len(text)})
    return [text[a:b] for a, b in itertools.pairwise(places)] or [""]


@settings(max_examples=300)
@given(
    st.lists(TEXT, min_size=1, max_size=3),
    st.lists(st.integers(0, 60), max_size=8),
    st.integers(1, 200),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_choices_cut_and_mixed(
    texts: list[str], at: list[int], size: int, chance: Any, ends: bool
) -> None:
    waiting = {i: cut(text, at) for i, text in enumerate(texts)}
    events = []
    while waiting:
        index = chance.choice(sorted(waiting))
        delta = {"content": waiting[index].pop(0)}
        is_last = not waiting[index]
        finish = "stop" if is_last and ends else None
        events.append({"choices": [{"index": index, "delta": delta, "finish_reason": finish}]})
        if is_last:
            del waiting[index]
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    got = [""] * len(texts)
    for line in restored(stream.encode(), size, "text/event-stream").splitlines():
        if line.startswith("data: "):
            choice = json.loads(line[6:])["choices"][0]
            got[choice["index"]] += choice["delta"].get("content", "")
    assert got == [whole(text) for text in texts]


@settings(max_examples=200)
@given(TEXT, st.lists(st.integers(0, 60), max_size=8), st.integers(1, 200))
def test_lines_cut_anywhere(text: str, at: list[int], size: int) -> None:
    lines = [{"response": piece, "done": False} for piece in cut(text, at)]
    stream = "".join(f"{json.dumps(line)}\n" for line in [*lines, {"response": "", "done": True}])
    made = restored(stream.encode(), size, "application/x-ndjson").split("\n")
    assert "".join(json.loads(line)["response"] for line in made if line) == whole(text)


@settings(max_examples=200)
@given(
    st.recursive(
        TEXT | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner),
        max_leaves=6,
    ).filter(lambda document: isinstance(document, (list, dict))),
    st.integers(1, 200),
)
def test_a_document_keeps_its_shape(document: Any, size: int) -> None:
    made = json.loads(restored(json.dumps(document).encode(), size, "application/json"))

    def expected(value: Any) -> Any:
        if isinstance(value, str):
            return whole(value)
        if isinstance(value, list):
            return [expected(item) for item in value]
        if isinstance(value, dict):
            return {key: expected(item) for key, item in value.items()}
        return value

    assert made == expected(document)
