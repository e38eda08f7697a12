"""What it means that a case holds, in the words of pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cloister.cli.drill.cases import Outcome
from cloister.core.modes import Mode

if TYPE_CHECKING:
    from cloister.cli.drill.cases import Case
    from cloister.cli.drill.running import Worker


def must_hold(worker: Worker, case: Case, mode: Mode = Mode.GUARD) -> None:
    """Fails unless the case ends as it must."""
    result = worker.run(case)
    if result.outcome is Outcome.SKIPPED:
        pytest.skip(result.why)
    assert result.holds(mode), f"{result.outcome.value}: {result.why}"
