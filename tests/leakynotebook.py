"""The leak corpus as one notebook: for clients that run notebooks, and know no cases.

A cell tries some cases, one after the other, and says before each which one it is. What a client
shows or saves is cut at these lines, and each part is searched for what its case carries.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING

import nbformat
from cloister.cli.drill.cases import Carries, Outcome, Unguarded, load_corpus
from cloister.cli.drill.evidence import stands_for_a_value
from cloister.cli.drill.sightings import Search
from cloister.core.modes import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cloister.cli.drill.canaries import Canaries
    from cloister.cli.drill.cases import Case

SHOWN = {"execute_result", "display_data", "update_display_data", "stream", "error", "clear_output"}
SHOWN |= {"comm", "iopub"}
CASES_IN_A_CELL = 20
#: A megabyte of one line, and thousands of lines: browsers draw them for minutes. And numbers that
#: JSON does not have: no browser reads them, and shared documents end with them.
LEFT_OUT = {"text-long-line", "text-many-lines", "peers-analyser-slow", "messages-not-a-number"}
SETUP = """\
import pandas as pd
from IPython.display import display
df = pd.read_csv('patients.csv', dtype=str)
row = df.iloc[0].to_dict()
traces = {'data': 'patients.csv'}
def try_cases(first, last):
    import json, sys, time
    told = json.load(open('cases.json'))
    globals()['stranger'] = told['stranger']
    for case in told['cases'][first:last]:
        sys.stderr.flush()
        print('\\n==', case['id'], '==', flush=True)
        for code in case['cells']:
            get_ipython().run_cell(code)
        time.sleep(case['pause_s'])
"""
THE_END = "print('the', 'end')"
FAILS = "raise ValueError(row['name'], row['ssn'])"
_AROUND = 300
_BESIDE = re.compile(
    r"subprocess|\bos\.|ctypes|faulthandler|interpreters|^!|%%|thread", re.MULTILINE
)
_MARK = re.compile(r"^== ([a-z0-9-]+) ==$", re.MULTILINE)


def is_shown_in_notebooks(case: Case) -> bool:
    """Whether a client that runs cells and keeps their outputs can see what the case carries."""
    is_a_cell = not (case.answer or case.requests or case.visits or case.expressions)
    return (
        is_a_cell
        and case.channel in SHOWN
        and case.carries is Carries.VALUES
        and case.expect[Mode.GUARD] in {Outcome.MASKED, Outcome.BLOCKED}
        and case.quick
        and case.id not in LEFT_OUT
        and not (case.ends_kernel or case.missing())
    )


def _order(case: Case) -> int:
    """What changes the kernel comes late, then what comes late itself, then what clears."""
    if case.channel == "clear_output":
        return 3
    return {"hooks": 1, "late": 2}.get(case.family, 0)


CASES = sorted(filter(is_shown_in_notebooks, load_corpus()), key=_order)


def notebook_cells(cases: Sequence[Case] = CASES) -> list[str]:
    """Returns the source of the cells: they hold no value."""
    together = sum(_order(case) < 3 for case in cases)
    starts = [*range(0, together, CASES_IN_A_CELL), *range(together, len(cases)), len(cases)]
    return [
        SETUP,
        *(f"try_cases({first}, {last})" for first, last in pairwise(starts)),
        "import time; time.sleep(1)  # for what comes late",
        THE_END,
        FAILS,
    ]


def write_corpus(workspace: Path, canaries: Canaries, cases: Sequence[Case] = CASES) -> None:
    """Writes what the cells read: the cases and the canary dataset, which is catalogued."""
    from cloister.store.catalog import Catalog
    from cloister.store.home import ensure_home, locate_home

    told = {
        "stranger": canaries.stranger,
        "cases": [
            {
                "id": case.id,
                "cells": [*case.cells, *([case.clean] if case.clean else [])],
                "pause_s": _pause_s(case),
            }
            for case in cases
        ],
    }
    (workspace / "cases.json").write_text(json.dumps(told))
    canaries.write(workspace / "patients.csv")
    home = ensure_home(locate_home(os.environ))
    Catalog(home).add("patients", str(workspace / "patients.csv"))


def _pause_s(case: Case) -> float:
    """What comes late, or past Python, must not mix with the output of the next case."""
    if case.until:
        return 0.6
    return 0.1 if any(_BESIDE.search(code) for code in case.cells) else 0.0


def write_notebook(path: Path, kernel: str = "cloister", cases: Sequence[Case] = CASES) -> None:
    """Writes the notebook."""
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    cells = [nbformat.v4.new_code_cell(source) for source in notebook_cells(cases)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), path)


@dataclass(frozen=True)
class Findings:
    """What a client got.

    Attributes:
        tried: The cases that ran.
        leaked: What was seen, by case.
        guarded: The cases in whose place something else stands.
    """

    tried: set[str]
    leaked: dict[str, str]
    guarded: set[str]


def sighting(texts: Sequence[str], canaries: Canaries, encoded: str | None = None) -> str | None:
    """Returns which canary is seen and what stands around it, so that one sighting explains itself.

    Values are written as their names, where they stand in plain.
    """
    search = Search(canaries.values(), encoded)
    if search.seen_in(texts) is None:
        return None
    for text in texts:
        if seen := search.seen_in([text]):
            return f"{seen} in {_surroundings(text, canaries)!r}"
    return "something, in all texts together"


def must_hold_none(texts: Sequence[str], canaries: Canaries) -> None:
    """Fails, and says how it can be explained, if a canary is seen in a text."""
    seen = sighting(texts, canaries)
    assert seen is None, seen


def _surroundings(text: str, canaries: Canaries) -> str:
    for name, value in canaries.values():
        text = re.sub(re.escape(value), f"<<{name}>>", text, flags=re.IGNORECASE)
    at = max(text.find("<<"), 0)
    return text[max(0, at - _AROUND) : at + _AROUND]


def read_outputs(outputs: Iterable[dict], canaries: Canaries) -> Findings:
    """Finds what notebook outputs hold, in the order in which a client keeps them."""
    pieces: list[tuple[str | None, str]] = []
    for output in outputs:
        if output["output_type"] == "stream":
            pieces += _cut("".join(output["text"]))
        else:
            # Texts by themselves, too: the codings of JSON would hide what they say.
            pieces += [(None, json.dumps(output)), *((None, text) for text in _texts(output))]
    return _find(pieces, canaries)


def read_text(text: str, canaries: Canaries) -> Findings:
    """Finds what a text holds that a client has shown."""
    return _find(_cut(text), canaries)


def _cut(text: str) -> list[tuple[str | None, str]]:
    """Cuts a text where a case begins; what comes first belongs to the case before."""
    parts = _MARK.split(text)
    return [(None, parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]


def _find(pieces: list[tuple[str | None, str]], canaries: Canaries) -> Findings:
    by_case: dict[str, list[str]] = {"": []}
    current = ""
    for case_id, text in pieces:
        current = case_id or current
        by_case.setdefault(current, []).append(text)
    encoded = {case.id: case.encoded for case in CASES}
    leaked, guarded = {}, set()
    names = list(by_case)
    for name, following in zip_longest(names, names[1:]):
        texts = [*by_case[name], "".join(by_case[name])]
        if encoded.get(name) and following:
            texts += by_case[following]  # another process may write when the next case has begun
        if seen := sighting(texts, canaries, encoded.get(name)):
            leaked[name] = seen
        if any(map(stands_for_a_value, texts)):
            guarded.add(name)
    return Findings(by_case.keys() - {""}, leaked, guarded)


def _texts(value: object) -> list[str]:
    """Returns every text that a JSON value holds, in order."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def must_hold_everywhere(findings: Findings, *, stopped: float = 0.7, most_unseen: int = 5) -> None:
    """Fails unless the cases were tried, none leaked, and most show that they were stopped.

    Args:
        findings: Of one client.
        stopped: Which part of the cases this client can show as stopped, at least.
        most_unseen: Cases of which this client may have kept nothing.
    """
    assert findings.leaked == {}, findings.leaked
    # Where a whole text is withheld, the line that names the next case goes with it.
    not_seen = {case.id for case in CASES} - findings.tried
    assert len(not_seen) <= most_unseen, not_seen
    assert len(findings.guarded) > stopped * len(findings.tried), len(findings.guarded)


def must_leak_nearly_all(findings: Findings) -> None:
    """Fails unless the same search sees the values where nobody guards them."""
    leaking = {c.id for c in CASES if c.unguarded is Unguarded.LEAKS and c.channel != "comm"}
    unseen = (leaking & findings.tried) - findings.leaked.keys()
    assert len(findings.tried) > 0.8 * len(CASES), len(findings.tried)
    assert len(unseen) < 0.1 * len(leaking), unseen
