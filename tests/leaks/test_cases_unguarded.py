"""Every case of the corpus in a plain kernel, where it must leak: the proof that it can fail."""

from __future__ import annotations

import pytest
from cloister.cli.drill.cases import Outcome, Unguarded
from cloister.cli.drill.ground import UNGUARDED

from .families import quick_cases

KERNEL = UNGUARDED
TRIES = 3


@pytest.mark.parametrize("case", quick_cases(), ids=lambda case: case.id)
def test_without_a_guard_it_gets_out(worker, case):
    result = worker.run(case)
    for _ in range(TRIES - 1):  # on a busy machine, what a process or a thread says may come late
        if case.unguarded is not Unguarded.LEAKS or result.outcome is Outcome.LEAKED:
            break
        result = worker.run(case)
    if result.outcome is Outcome.SKIPPED:
        pytest.skip(result.why)
    assert result.outcome is not Outcome.ERROR or case.unguarded is Unguarded.EITHER, result.why
    if case.unguarded is Unguarded.LEAKS:
        assert result.outcome is Outcome.LEAKED, f"{result.outcome.value}: {result.why}"
    elif case.unguarded is Unguarded.REFUSED:
        assert result.outcome in {Outcome.BLOCKED, Outcome.MASKED}, result.why
