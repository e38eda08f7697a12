"""How fast the patterns of the hot path go through ordinary outputs of a notebook.

    .venv/bin/python benchmarks/text_output.py              # seconds, a table
    .venv/bin/python benchmarks/text_output.py --peer --json

Each text has 100 kB of one kind and is made from a seed. Rates are per second of processor time,
one core, the best of several turns. ``--peer`` lets Presidio's patterns without a model go over the
first 10 kB of the same texts in the same run. See ``benchmarks/README.md``.

Exit status: 0 every aim is held, 1 one is not.
"""

from __future__ import annotations

import argparse
import base64
import json
import platform
import random  # noqa: TID251 - many small choices from a seed; nothing is secret
import string
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloister.detect.text import find_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TEXT_CHARS: Final = 100_000
_PEER_CHARS: Final = 10_000
_TURNS: Final = 7
#: Megabytes a second.
_AIM: Final = 20.0

_WORDS_TEXT: Final = """
    the a of to and in is was for on that with as it be by at from this have are which or an we not
    can model data training value table after before however results seem better than expected when
    number people weather market research group large small first second process change water light
"""
_WORDS: Final = _WORDS_TEXT.split()
_MODULES: Final = ("frame", "series", "indexing", "engine", "managers", "blocks", "parsers")


def _prose(rng: random.Random) -> Iterator[str]:
    sentence = " ".join(rng.choices(_WORDS, k=rng.randint(6, 18))).capitalize()
    yield sentence + rng.choice((". ", ". ", "? ", ".\n\n"))


def _describe(rng: random.Random) -> Iterator[str]:
    columns = [f"feature_{rng.randint(0, 99)}" for _ in range(9)]
    yield " " * 8 + "".join(f"{name:>15}" for name in columns) + "\n"
    for row in ("count", "mean", "std", "min", "25%", "50%", "75%", "max"):
        yield f"{row:<8}" + "".join(
            f"{rng.gauss(0, 10.0 ** rng.randint(0, 6)):>15.6f}" for _ in columns
        )
        yield "\n"


def _digits(rng: random.Random) -> Iterator[str]:
    yield " ".join(str(rng.randint(0, 10 ** rng.randint(1, 16))) for _ in range(20)) + "\n"


def _traceback(rng: random.Random) -> Iterator[str]:
    yield "Traceback (most recent call last):\n"
    for _ in range(rng.randint(4, 12)):
        name = rng.choice(_MODULES)
        yield (
            f'  File "/opt/conda/lib/python3.11/site-packages/pandas/core/{name}.py", '
            f"line {rng.randint(1, 9999)}, in {rng.choice(_WORDS)}_{name}\n"
            f"    return self._{name}.{rng.choice(_WORDS)}(key, axis={rng.randint(0, 1)})\n"
        )
    yield f"KeyError: {rng.choice(_WORDS)!r}\n\n"


def _log(rng: random.Random) -> Iterator[str]:
    record = {
        "ts": f"2026-03-{rng.randint(10, 28)}T{rng.randint(10, 23)}:{rng.randint(10, 59)}:"
        f"{rng.randint(10, 59)}.{rng.randint(100, 999)}Z",
        "level": rng.choice(("info", "debug", "warning")),
        "logger": f"app.{rng.choice(_MODULES)}",
        "msg": " ".join(rng.choices(_WORDS, k=8)),
        "duration_ms": round(rng.expovariate(0.01), 3),
        "request_id": f"{rng.getrandbits(128):032x}",
        "status": rng.choice((200, 201, 304, 404)),
    }
    yield json.dumps(record) + "\n"


def _base64(rng: random.Random) -> Iterator[str]:
    yield base64.b64encode(rng.randbytes(5_700)).decode() + "\n"


def _code(rng: random.Random) -> Iterator[str]:
    name, other = rng.choice(_MODULES), rng.choice(_WORDS)
    yield (
        f"def {other}_{name}(self, values: list[int], *, key: str = '{other}') -> dict[str, int]:\n"
        f'    """Returns the {other} of {name}."""\n'
        f"    total = sum(v ** 2 for v in values if v > {rng.randint(0, 99)})\n"
        f"    return {{key: total % {rng.randint(2, 999)}, '{name}': len(values)}}\n\n"
    )


def _html(rng: random.Random) -> Iterator[str]:
    cells = "".join(f"<td>{rng.gauss(0, 100):.4f}</td>" for _ in range(8))
    yield f'<tr style="text-align: right;"><th>{rng.randint(0, 99_999)}</th>{cells}</tr>\n'


def _epochs(rng: random.Random) -> Iterator[str]:
    yield (
        f"Epoch {rng.randint(1, 99)}/100 [{'=' * 20}] - {rng.randint(1, 99)}s "
        f"{rng.randint(1, 999)}ms/step - loss: {rng.random():.4f} - lr: 1e-03\n"
    )


KINDS: Final[dict[str, Callable[[random.Random], Iterator[str]]]] = {
    "prose": _prose,
    "describe()": _describe,
    "dense digits": _digits,
    "tracebacks": _traceback,
    "JSON log": _log,
    "base64": _base64,
    "code": _code,
    "HTML table": _html,
    "training log": _epochs,
}


def _documents(rng: random.Random) -> Iterator[str]:
    # English with the words of this field in it, which is what the rules' hints look for.
    pages = sorted((Path(__file__).parents[1] / "docs").rglob("*.md"))
    yield rng.choice(pages).read_text(encoding="utf-8")


def _people(rng: random.Random) -> Iterator[str]:
    given, family = rng.choice(("Ada", "Bo", "Chen", "Dora")), rng.choice(("Lovell", "Marsh", "Ng"))
    digits = "".join(rng.choices(string.digits[2:], k=7))
    yield (
        f"{rng.randint(0, 9_999)},{given} {family},{given}.{family}{digits[:3]}@example.org,"
        f"+44 20 79{digits[:2]} {digits[2:6]},{rng.randint(1, 254)} {family} Street,"
        f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}\n"
    )


def _card_shapes(rng: random.Random) -> Iterator[str]:
    yield " ".join(str(rng.randint(10**15, 10**16)) for _ in range(6)) + "\n"


#: Ordinary outputs: each has the aim.
ORDINARY: Final[dict[str, Callable[[random.Random], Iterator[str]]]] = {
    "prose": _prose,
    "documentation": _documents,
    "describe(), wide": _describe,
    "numbers of 1 to 16 digits": _digits,
    "tracebacks": _traceback,
    "JSON log": _log,
    "base64": _base64,
    "code": _code,
    "HTML table": _html,
    "training log": _epochs,
}
#: Nearly everything is a value, or written as one: no aim.
DENSE: Final[dict[str, Callable[[random.Random], Iterator[str]]]] = {
    "rows of people": _people,
    "numbers of 16 digits": _card_shapes,
}


@dataclass(frozen=True, slots=True)
class Measure:
    """One kind of text.

    Attributes:
        kind: What it is.
        mb_per_s: Megabytes a second.
        spans: How many values were found.
        has_aim: Whether it is ordinary output.
        times_the_peer: How many times Presidio's rate that is, where Presidio was asked.
    """

    kind: str
    mb_per_s: float
    spans: int
    has_aim: bool
    times_the_peer: float | None = None

    @property
    def is_held(self) -> bool:
        """Whether the aim is held."""
        return not self.has_aim or self.mb_per_s >= _AIM


def text_of(kind: str, chars: int = TEXT_CHARS) -> str:
    """Returns a text of one kind, always the same."""
    rng = random.Random(kind)
    make = {**ORDINARY, **DENSE}[kind]
    parts: list[str] = []
    length = 0
    while length < chars:
        part = "".join(make(rng))
        parts.append(part)
        length += len(part)
    return "".join(parts)[:chars]


def rate(search: Callable[[str], object], text: str, turns: int = _TURNS) -> float:
    """Returns megabytes a second of processor time, the best of some turns."""
    best = float("inf")
    search(text[:2_000])
    for _ in range(turns):
        start = time.process_time()
        search(text)
        best = min(best, time.process_time() - start)
    return len(text.encode()) / best / 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peer", action="store_true", help="measure Presidio's patterns as well")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    peer: Callable[[str], object] | None = None
    if options.peer:
        from anchors import Presidio

        peer = Presidio().text
    measures = []
    for kind in (*ORDINARY, *DENSE):
        text = text_of(kind)
        ours = rate(find_spans, text)
        ratio = None if peer is None else ours / rate(peer, text[:_PEER_CHARS], 1)
        measures.append(Measure(kind, ours, len(find_spans(text)), kind in ORDINARY, ratio))
    if options.json:
        document = {"python": platform.python_version(), "measures": [asdict(m) for m in measures]}
        print(json.dumps(document, indent=2))
    else:
        _print(measures)
    return 0 if all(m.is_held for m in measures) else 1


def _print(measures: Sequence[Measure]) -> None:
    print(f"{'100 kB of':<28}{'MB/s':>8}{'found':>8}{'x Presidio':>12}  aim")
    for m in measures:
        ratio = "" if m.times_the_peer is None else f"{m.times_the_peer:,.0f}"
        aim = f">= {_AIM:.0f}  {'held' if m.is_held else 'NOT HELD'}" if m.has_aim else ""
        print(f"{m.kind:<28}{m.mb_per_s:>8.1f}{m.spans:>8}{ratio:>12}  {aim}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
