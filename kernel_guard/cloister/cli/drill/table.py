"""What a drill prints: a table by family, what got out, and the document of ``--json``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cloister.cli.drill.cases import Outcome
from cloister.cli.output import print_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.cli.drill.outcomes import Result
    from cloister.core.modes import Mode

_COLUMNS = (Outcome.BLOCKED, Outcome.MASKED, Outcome.ALERTED, Outcome.LEAKED, Outcome.ERROR)


def leaks(results: Sequence[Result]) -> list[Result]:
    """Returns what got out although no documented limit says so."""
    return [r for r in results if r.outcome is Outcome.LEAKED and not r.is_limit]


def failures(results: Sequence[Result], mode: Mode) -> list[Result]:
    """Returns what did not end as it must: leaks, errors, and less than was expected."""
    return [r for r in results if r.outcome is not Outcome.SKIPPED and not r.holds(mode)]


def as_document(results: Sequence[Result], mode: Mode) -> dict[str, Any]:
    """Returns the JSON document: cases, and how many leaked; limits and the skipped are apart."""
    ran = [r for r in results if r.outcome is not Outcome.SKIPPED and not r.is_limit]
    return {
        "mode": mode.value,
        "cases": [_row(r) for r in ran],
        "limits": [{**_row(r), "limit": r.case.limit} for r in results if r.is_limit],
        "skipped": [
            {"id": r.case.id, "why": r.why} for r in results if r.outcome is Outcome.SKIPPED
        ],
        "leaked": len(leaks(results)),
        "failed": len(failures(results, mode)),
    }


def _row(result: Result) -> dict[str, Any]:
    return {
        "id": result.case.id,
        "family": result.case.family,
        "technique": result.case.technique,
        "channel": result.case.channel,
        "outcome": result.outcome.value,
    }


def print_results(results: Sequence[Result], mode: Mode, seconds: float) -> None:
    """Prints the table and a sentence for each thing that did not hold."""
    families = sorted({r.case.family for r in results})
    rows = []
    for family in families:
        own = [r for r in results if r.case.family == family]
        counts: Counter[Outcome] = Counter(
            r.outcome for r in own if not r.is_limit and r.outcome is not Outcome.SKIPPED
        )
        limits = sum(r.is_limit for r in own)
        skipped = sum(r.outcome is Outcome.SKIPPED for r in own)
        rows.append((family, *(counts[o] or "" for o in _COLUMNS), limits or "", skipped or ""))
    header = ["family", *(o.value for o in _COLUMNS), "documented limit", "skipped"]
    print_table(header, rows, "")
    for result in failures(results, mode):
        case, outcome = result.case, result.outcome.value.upper()
        say(f"{outcome:7} {case.id} ({case.technique}, {case.title}): {result.why}")
    documented = [r for r in results if r.is_limit]
    if documented:
        say(f"{len(documented)} got out as documented: {', '.join(r.case.id for r in documented)}")
    untried = [r for r in results if r.outcome is Outcome.SKIPPED]
    if untried:
        needs = sorted({r.why for r in untried})
        say(f"{len(untried)} not tried here: {'; '.join(needs)}")
    ran = len(results) - len(untried)
    say(
        f"{ran} cases in {mode.value} mode, {seconds:.0f} s: {len(leaks(results))} leaked, "
        f"{len(failures(results, mode)) - len(leaks(results))} otherwise not as expected."
    )
