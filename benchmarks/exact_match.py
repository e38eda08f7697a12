"""What an index of a million values weighs, how fast it is made and how fast it finds.

    .venv/bin/python benchmarks/exact_match.py            # a million values, about a minute
    .venv/bin/python benchmarks/exact_match.py --values 200000
    .venv/bin/python benchmarks/exact_match.py --json

The peer is what one would write first: a Python set of the values in lower case, and a look at
every run of one to eight words of the text. It finds values as they are written, and no other
spelling. See ``benchmarks/README.md`` for how to read it.

Exit status: 0 every aim is held, 1 one is not.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import platform
import re
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from cloister.detect.company import RowColumn
from cloister.detect.decoded import decode
from cloister.detect.exact import ExactIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEY: Final = b"a key of thirty-two bytes for it"
TEXT_CHARS: Final = 100_000
REPEATS: Final = 7
_WORDS: Final = re.compile(r"\w+")
_MOST_WORDS: Final = 8


@dataclass(frozen=True, slots=True)
class Measure:
    """One number beside its aim.

    Attributes:
        what: What was measured.
        value: In ``unit``.
        unit: Its unit.
        aim: The most, or the least, that it may be; ``None`` where there is none.
        is_least: Whether the aim is the least.
        ratio: Times the peer's, where the peer does the same.
    """

    what: str
    value: float
    unit: str
    aim: float | None = None
    is_least: bool = False
    ratio: float | None = None

    @property
    def is_held(self) -> bool:
        """Whether the aim is held."""
        if self.aim is None:
            return True
        return self.value >= self.aim if self.is_least else self.value <= self.aim


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--values", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    measures = measure(options.values)
    if options.json:
        document = {"python": platform.python_version(), "measures": [asdict(m) for m in measures]}
        print(json.dumps(document, indent=2))
    else:
        _print(measures)
    return 0 if all(m.is_held for m in measures) else 1


def measure(count: int) -> list[Measure]:
    """Returns all measures for an index of ``count`` values."""
    people = make_people(count)
    index, seconds = ExactIndex(KEY), 0.0
    for entity_type, values in people.items():
        seconds += timed(partial(index.add, entity_type, values), 1)
    measures = [Measure("build", count / seconds, "values/s", 300_000, is_least=True)]
    peer, peer_seconds = make_peer(people)
    measures[0] = Measure(
        "build", count / seconds, "values/s", 300_000, is_least=True, ratio=seconds / peer_seconds
    )
    measures.append(Measure("memory", held_bytes(index) / len(index), "bytes an entry"))
    measures.append(Measure("memory", held_bytes(index) / count, "bytes a value", 12))
    for name, text in texts(people).items():
        ours = timed(partial(index.find, text))
        theirs = timed(partial(find_peer, peer, text), 1)
        aim = None if name == "known values" else 20.0
        measures.append(Measure(f"100 kB of {name}", 1e3 * ours, "ms", aim, ratio=ours / theirs))
    prose = texts(people)["prose"]
    measures.append(Measure("of it, decoding", 1e3 * timed(lambda: decode(prose)), "ms", 1))
    for name, text in encoded().items():
        measures.append(Measure(name, 1e3 * timed(partial(index.find, text), 3), "ms"))
    more = [f"{n:09d}" for n in range(900_000_000, 900_000_100)]
    measures.append(
        Measure("100 values more", 1e3 * timed(lambda: index.add("US_SSN", more), 1), "ms", 10)
    )
    measures.append(Measure("rows", *_rows(people, min(count, 100_000))))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "index")
        measures.append(Measure("store, sealed", 1e3 * timed(lambda: index.save(path), 1), "ms"))
        loaded = timed(lambda: ExactIndex.load(path, KEY), 1)
        measures.append(Measure("load in another process", 1e3 * loaded, "ms"))
        measures.append(Measure("stored", path.stat().st_size / len(index), "bytes an entry"))
    ordinary = "\n".join(texts(people)[kind] for kind in ("numbers", "log", "code"))
    measures.append(Measure("hits in ordinary output", len(index.find(ordinary)), "hits", 3))
    return measures


def make_people(count: int) -> dict[str, list[str]]:
    """Returns seeded values of five kinds, ``count`` in all."""
    rng = np.random.default_rng(11)
    each = count // 5
    numbers = rng.choice(899_000_000, each, replace=False) + 1_000_000
    syllables = ["ka", "lo", "mi", "ren", "to", "sha", "vel", "dor", "in", "ba", "qui", "zen"]

    def name(number: int) -> str:
        return "".join(syllables[number // 12**i % 12] for i in range(4)).title()

    picks = rng.integers(0, 12**4, (each, 2))
    names = [f"{name(int(a))} {name(int(b))}" for a, b in picks]
    cards = rng.integers(4 * 10**15, 5 * 10**15, each)
    return {
        "US_SSN": [f"{n // 10**6:03d}-{n // 10**4 % 100:02d}-{n % 10**4:04d}" for n in numbers],
        "PERSON": names,
        "EMAIL_ADDRESS": [
            f"{who.replace(' ', '.').lower()}{i}@example.org" for i, who in enumerate(names)
        ],
        "CREDIT_CARD": [str(c) for c in cards],
        "MEDICAL_RECORD": [f"HV{n:09d}" for n in rng.choice(10**9, each, replace=False)],
    }


def texts(people: dict[str, list[str]]) -> dict[str, str]:
    """Returns ordinary outputs of 100 kB, and one that is full of known values."""
    rng = np.random.default_rng(12)
    prose = "the patient was seen in the clinic and was feeling better today, with no complaints. "
    rows = "\n".join(" ".join(f"{v:9.4f}" for v in row) for row in rng.normal(size=(2_000, 8)))
    log = "".join(
        f"2026-11-23 15:{i % 60:02d}:01,{i % 997:03d} INFO worker[{i % 8}] GET /api/v1/items/{i}"
        f" 200 {i % 90}ms\n"
        for i in range(2_000)
    )
    code = "for i, (x, y) in enumerate(zip(xs, ys)):\n    out[i] = model.fit(x)[y].score()\n"
    page = "".join(
        "<tr>\n      " + "\n      ".join(f"<td>{v:.4f}</td>" for v in row) + "\n    </tr>\n"
        for row in rng.normal(size=(1_000, 8))
    )
    known = "\n".join(
        f"{a}, {b}, {c}"
        for a, b, c in zip(people["PERSON"], people["US_SSN"], people["EMAIL_ADDRESS"], strict=True)
    )
    made = {
        "prose": prose,
        "numbers": rows,
        "log": log,
        "code": code,
        "HTML": page,
        "known values": known,
    }
    return {
        name: (text * (TEXT_CHARS // len(text) + 1))[:TEXT_CHARS] for name, text in made.items()
    }


def encoded() -> dict[str, str]:
    """Returns texts that are work to decode: a megabyte of base64, and streams without an end."""
    words = b"the patient was seen in the clinic and was feeling better " * 13_000
    noise = np.random.default_rng(14).bytes(750_000)
    bomb = base64.b64encode(gzip.compress(b"a " * 20_000_000)).decode()
    small = base64.b64encode(gzip.compress(b"a " * 500_000)).decode()
    return {
        "1 MB of words in base64": base64.b64encode(words).decode(),
        "1 MB of noise in base64": base64.b64encode(noise).decode(),
        "a stream of 40 MB": bomb,
        "70 streams of 1 MB": " ".join([small] * 70),
    }


def make_peer(people: dict[str, list[str]]) -> tuple[set[str], float]:
    """Returns the peer's set of values, and the seconds that it took."""
    peer: set[str] = set()

    def build() -> None:
        for values in people.values():
            peer.update(" ".join(_WORDS.findall(value.lower())) for value in values)

    return peer, timed(build, 1)


def find_peer(peer: set[str], text: str) -> int:
    """Returns how many runs of one to eight words of ``text`` are in the peer's set."""
    words = _WORDS.findall(text.lower())
    return sum(
        " ".join(words[i : i + n]) in peer
        for i in range(len(words))
        for n in range(1, _MOST_WORDS + 1)
    )


def held_bytes(index: ExactIndex) -> int:
    """Returns the size of the arrays that an index keeps."""
    entries = index._entries  # noqa: SLF001 - its weight is what is measured
    if entries is None:
        return 0
    return entries.nbytes


def _rows(people: dict[str, list[str]], rows: int) -> tuple[float, str]:
    """Returns how many cells of rows a second become pairs."""
    index = ExactIndex(KEY, today=date(2026, 11, 23))
    words = ["June", "Will", "Rose", "Mark", "Grace"]
    rng = np.random.default_rng(13)
    rows = min(rows, len(people["US_SSN"]))
    columns = [
        RowColumn("PERSON", words, rng.integers(0, len(words), rows)),
        RowColumn("US_SSN", people["US_SSN"][:rows], np.arange(rows)),
        RowColumn("LICENSE_PLATE", [str(n) for n in range(1_000, 9_999)], np.arange(rows) % 8_999),
        RowColumn(
            "DOB",
            [f"20{y}-03-{d}" for y in range(14, 24) for d in range(10, 29)],
            rng.integers(0, 190, rows),
        ),
    ]
    return len(columns) * rows / timed(lambda: index.add_rows(columns), 1), "cells/s"


def timed(call: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Returns the least of the seconds that a call took."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def _print(measures: Sequence[Measure]) -> None:
    for m in measures:
        sign = "" if m.aim is None else f"{'>=' if m.is_least else '<='} {m.aim:,.0f}"
        held = "" if m.aim is None else ("held" if m.is_held else "NOT HELD")
        ratio = "" if m.ratio is None else f"{m.ratio:.2f} x the peer's time"
        line = f"{m.what:28}{m.value:14,.2f} {m.unit:16}{sign:12}{held:10}{ratio}"
        print(line.rstrip())


if __name__ == "__main__":
    sys.exit(main())
