"""Cases in which hooks act before the gate does, in a kernel as users have it."""

from __future__ import annotations

import pytest
from cloister.cli.drill.ground import GUARDED

from .families import shown_by_hooks
from .holding import must_hold

KERNEL = GUARDED


@pytest.mark.parametrize("case", shown_by_hooks(), ids=lambda case: case.id)
def test_nothing_gets_out(worker, case):
    must_hold(worker, case)
