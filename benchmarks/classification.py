"""How fast and how right classification is, beside presidio and detect-secrets in one run.

    .venv/bin/python benchmarks/classification.py            # ../shared/data/classify, a table
    .venv/bin/python benchmarks/classification.py DIRECTORY --json
    .venv/bin/python benchmarks/classification.py --quick    # smaller tables, rougher speeds

Everything runs on one core, and rates are per second of processor time, so that a busy machine
does not count; the first look, which somebody waits for, is wall time. See ``benchmarks/README.md``
for what is measured and how to read it.

Exit status: 0 every aim is held, 1 one is not, 2 there is no labelled set.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anchors import UNIQUE_VALUES, Presidio, PresidioStructured, detect_secrets
from labelled import (
    Answer,
    LabelledSet,
    Place,
    SetMissing,
    Text,
    family,
    score_columns,
    score_texts,
)
from mixed import COLUMNS, mixed_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cloister.detect.exact import ExactIndex

DEFAULT_SET: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "classify"

FULL_ROWS: Final = 200_000
LOOK_ROWS: Final = 1_000_000
ANCHOR_ROWS: Final = 60  # of the mixed table; presidio takes seconds for them

OURS: Final = "cloister"
OURS_EXACT: Final = "cloister, exact match"
ANALYSIS: Final = "cloister, analysis"
ANALYSIS_EXACT: Final = "cloister, analysis, exact match"

Look = Callable[[str], list[Place]]

#: The product's name for a family, to load annotated values into the exact-match index.
_INDEXED_AS: Final = {
    "PERSON_NAME": "PERSON",
    "EMAIL": "EMAIL_ADDRESS",
    "PHONE": "PHONE_NUMBER",
    "SSN": "US_SSN",
    "IBAN": "IBAN_CODE",
}
#: Not the values of one person, so no catalogued column would bring them into the index.
_NOT_INDEXED: Final = frozenset({"AGE", "DATE", "LOCATION", "NRP", "ORG", "RACE_ETHNICITY"})


@dataclass(frozen=True, slots=True)
class Score:
    """One scored method; numbers are 0 to 1 and ``None`` where it gives no such answer."""

    what: str
    method: str
    values: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Speed:
    """What one method did in some seconds of processor time, and how much slower it is than ours.

    Attributes:
        what: What it did.
        method: Who did it.
        units: How many cells or texts.
        unit: What is counted.
        seconds: Of processor time.
        megabytes: Of text, in UTF-8; 0 where it is not counted.
    """

    what: str
    method: str
    units: int
    unit: str
    seconds: float
    megabytes: float = 0.0

    @property
    def rate(self) -> float:
        return self.units / self.seconds if self.seconds else float("inf")


@dataclass(frozen=True, slots=True)
class Aim:
    """A number that should be reached."""

    what: str
    value: float
    aim: float
    is_most: bool = False

    @property
    def is_held(self) -> bool:
        return self.value <= self.aim if self.is_most else self.value >= self.aim


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Returns what some work returns and the processor seconds that it took."""
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def measure_columns(labelled: LabelledSet) -> tuple[list[Score], list[Speed]]:
    """Scores the labelled columns by every method, and times each on what it looked at."""
    from cloister.detect.columns import classify_table

    presidio = Presidio()
    structured = PresidioStructured(presidio)
    ours: dict[tuple[str, str], Answer] = {}
    analyzer: dict[tuple[str, str], Answer] = {}
    sampled: dict[tuple[str, str], Answer] = {}
    for name, table in labelled.tables():
        for finding in classify_table(table):
            level = finding.level.name.lower()
            ours[name, finding.name] = Answer(finding.entity_type, level)
        for column in table.column_names:
            values = table[column].unique().drop_null().to_pylist()[:UNIQUE_VALUES]
            analyzer[name, column] = presidio.column(column, values)
        for column, answer in structured.table(table.to_pandas()).items():
            sampled[name, column] = answer
    methods = (
        (OURS, ours),
        ("presidio-analyzer", analyzer),
        ("presidio-structured", sampled),
    )
    scores = [
        Score("columns", method, _column_values(score_columns(labelled.columns, answers)))
        for method, answers in methods
    ]
    return scores, measure_column_speed(presidio, structured)


def _column_values(result: dict[str, Any]) -> dict[str, float | None]:
    return {
        "P": result["micro"]["P"],
        "R": result["micro"]["R"],
        "F1": result["micro"]["F1"],
        "core F1": result["core"]["F1"],
        "NONE kept": result["none_kept"],
        "restricted recall": result["restricted_recall"],
    }


def measure_column_speed(presidio: Presidio, structured: PresidioStructured) -> list[Speed]:
    """Times every method on the same rows of the mixed table."""
    from cloister.detect.columns import classify_table

    rows = mixed_table(ANCHOR_ROWS)
    frame = rows.to_pandas()
    cells = {name: [str(v) for v in rows[name].to_pylist()] for name in rows.column_names}
    count = rows.num_rows * rows.num_columns
    classify_table(rows)  # dictionaries and patterns are loaded once

    def each() -> None:
        for name, values in cells.items():
            presidio.column(name, values)

    what, unit = f"columns, {ANCHOR_ROWS} rows", "cells"
    return [
        Speed(what, OURS, count, unit, timed(lambda: classify_table(rows))[1]),
        Speed(what, "presidio-analyzer", count, unit, timed(each)[1]),
        Speed(what, "presidio-structured", count, unit, timed(lambda: structured.table(frame))[1]),
    ]


def measure_full_scan(rows: int) -> Speed:
    """Times a look at every cell of the mixed table."""
    from cloister.detect.fullscan import classify_table_fully

    classify_table_fully(mixed_table(1_000))
    table = mixed_table(rows)
    _, seconds = timed(lambda: classify_table_fully(table))
    return Speed(f"full scan, {rows:,} rows", OURS, rows * table.num_columns, "cells", seconds)


def measure_first_look(rows: int) -> dict[str, float]:
    """Returns the wall seconds of a first look at a large table: in Arrow, and as a display."""
    from cloister.core.labels import Level
    from cloister.core.policy import Treatment
    from cloister.detect.columns import classify_table
    from cloister.hooks.pandas_labels import frame_labels
    from cloister.hooks.policyview import PolicyView

    table = mixed_table(rows)
    view = PolicyView("benchmark", "benchmark", dict.fromkeys(Level, Treatment.TOKEN))
    frame_labels(mixed_table(100).to_pandas(), view)
    began = time.perf_counter()
    classify_table(table)
    in_arrow = time.perf_counter() - began
    frame = table.to_pandas()
    began = time.perf_counter()
    frame_labels(frame, view)
    return {"arrow": in_arrow, "pandas display": time.perf_counter() - began}


def measure_texts(labelled: LabelledSet) -> tuple[list[Score], list[Speed]]:
    """Scores the labelled texts by every method, and times each on all of them."""
    from cloister.detect.analysis import analyse
    from cloister.detect.text import find_spans

    presidio = Presidio()
    index = index_of(labelled.texts)
    with detect_secrets() as secrets:
        methods: list[tuple[str, Look]] = [
            (OURS, lambda text: _places(find_spans(text))),
            (OURS_EXACT, lambda text: _places(index.find(text) + find_spans(text))),
            (ANALYSIS, lambda text: _places(analyse(text))),
            (ANALYSIS_EXACT, lambda text: _places(analyse(text, known=index.find))),
            ("presidio-analyzer", presidio.text),
            ("detect-secrets", secrets.text),
        ]
        scores, speeds = [], []
        size = sum(len(text.text.encode()) for text in labelled.texts) / 1e6
        for method, look in methods:
            for text in labelled.texts[::5]:
                look(f"{text.text} ")  # dictionaries are loaded; no answer about a text is kept
            places, seconds = timed(partial(_look_at_all, look, labelled.texts))
            found = score_texts(labelled.texts, places)
            scores.append(Score("texts", method, _text_values(found)))
            speeds.append(Speed("texts", method, len(labelled.texts), "texts", seconds, size))
    return scores, speeds


def _look_at_all(look: Look, texts: Sequence[Text]) -> dict[str, list[Place]]:
    return {text.id: look(text.text) for text in texts}


def _text_values(result: dict[str, Any]) -> dict[str, float | None]:
    return {
        "P": result["overlap"]["P"],
        "R": result["overlap"]["R"],
        "F1": result["overlap"]["F1"],
        "strict F1": result["strict"]["F1"],
        "patternable F1": result["patternable"]["F1"],
        "leaked": result["leaked"],
    }


def index_of(texts: Sequence[Text]) -> ExactIndex:
    """Returns an index of the annotated values, as if the data they stand in had been loaded."""
    from cloister.detect.exact import ExactIndex

    index = ExactIndex(bytes(32))
    values: dict[str, set[str]] = {}
    for text in texts:
        for place in text.places:
            if place.entity_type not in _NOT_INDEXED:
                name = _INDEXED_AS.get(place.entity_type, place.entity_type)
                values.setdefault(name, set()).add(text.text[place.start : place.end])
    for name, known in values.items():
        index.add(name, sorted(known))
    return index


def _places(spans: Iterable[Any]) -> list[Place]:
    return [Place(span.start, span.end, family(span.entity_type)) for span in spans]


def aims(scores: Sequence[Score], full: Speed, looks: dict[str, float]) -> list[Aim]:
    """Returns what is aimed at, with what was measured."""
    by_method = {(score.what, score.method): score.values for score in scores}
    columns, texts = by_method["columns", OURS], by_method["texts", OURS]
    return [
        Aim("core columns F1", columns["core F1"] or 0.0, 0.95),
        Aim("all columns F1", columns["F1"] or 0.0, 0.85),
        Aim("restricted recall", columns["restricted recall"] or 0.0, 0.97),
        Aim("NONE kept", columns["NONE kept"] or 0.0, 0.97),
        Aim("patternable text F1", texts["patternable F1"] or 0.0, 0.93),
        Aim(
            f"leaked, {ANALYSIS_EXACT}",
            by_method["texts", ANALYSIS_EXACT]["leaked"] or 0.0,
            0.1,
            is_most=True,
        ),
        Aim("full scan, cells/s", full.rate, 500_000),
        *(Aim(f"first look, {k}, s", v, 0.3, is_most=True) for k, v in looks.items()),
    ]


def report(scores: list[Score], speeds: list[Speed], held: list[Aim]) -> str:
    """Lays everything out for a terminal."""
    lines = []
    for what in ("columns", "texts"):
        some = [score for score in scores if score.what == what]
        heads = list(some[0].values)
        lines += [f"{what:34}" + "".join(f"{head:>19}" for head in heads)]
        lines += ["-" * (34 + 19 * len(heads))]
        for score in some:
            cells = ("" if v is None else f"{v:.3f}" for v in score.values.values())
            lines.append(f"{score.method:34}" + "".join(f"{cell:>19}" for cell in cells))
        lines.append("")
    lines += [f"{'speed':50}{'per second':>14}{'MB/s':>9}{'cloister is':>16}", "-" * 89]
    for speed in speeds:
        size = f"{speed.megabytes / speed.seconds:.2f}" if speed.megabytes else ""
        times = _times_faster(speed, speeds)
        lines.append(
            f"{speed.what + ', ' + speed.method:50}{speed.rate:10,.0f} {speed.unit[:3]}{size:>9}"
            f"{times:>16}".rstrip()
        )
    lines += ["", f"{'aim':50}{'measured':>14}{'aim':>13}", "-" * 89]
    for aim in held:
        sign = "<=" if aim.is_most else ">="
        verdict = "held" if aim.is_held else "NOT HELD"
        lines.append(f"{aim.what:50}{aim.value:14,.3f}{sign:>6}{aim.aim:>7,}  {verdict}")
    return "\n".join(lines)


def _times_faster(speed: Speed, speeds: Sequence[Speed]) -> str:
    ours = next(s for s in speeds if s.what == speed.what)
    return "" if ours is speed else f"{ours.rate / speed.rate:,.1f}x as fast"


def _on_one_core() -> None:
    """Keeps this process to one processor, and Arrow to one thread."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def main(arguments: list[str] | None = None) -> int:
    """Runs the measurement and prints it."""
    parser = argparse.ArgumentParser(description="How fast and how right classification is.")
    parser.add_argument("directory", nargs="?", type=Path, default=DEFAULT_SET)
    parser.add_argument("--quick", action="store_true", help="smaller tables, rougher speeds")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args(arguments)
    try:
        labelled = LabelledSet.load(options.directory)
    except SetMissing as missing:
        print(missing, file=sys.stderr)
        return 2
    _on_one_core()
    shrink = 10 if options.quick else 1
    looks = measure_first_look(LOOK_ROWS // shrink)
    full = measure_full_scan(FULL_ROWS // shrink)
    column_scores, column_speeds = measure_columns(labelled)
    text_scores, text_speeds = measure_texts(labelled)
    scores = column_scores + text_scores
    speeds = [full, *column_speeds, *text_speeds]
    held = aims(scores, full, looks)
    if options.json:
        document = {
            "machine": {
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                "load": round(os.getloadavg()[0], 2),
            },
            "scores": [asdict(score) for score in scores],
            "speeds": [asdict(speed) | {"per_second": round(speed.rate, 1)} for speed in speeds],
            "aims": [asdict(aim) | {"held": aim.is_held} for aim in held],
        }
        print(json.dumps(document, indent=1))
    else:
        print(report(scores, speeds, held))
        print(f"\n{os.cpu_count()} CPUs, one used, Python {platform.python_version()}")
        print(f"The mixed table has {COLUMNS} columns; {options.directory.name} is the set.")
    return 0 if all(aim.is_held for aim in held) else 1


if __name__ == "__main__":
    sys.exit(main())
