"""Cases that end in a connection, a file, a process or an answer of the server."""

from __future__ import annotations

import pytest
from cloister.cli.drill.ground import WITHOUT_HOOKS

from .families import other_ways_out
from .holding import must_hold

KERNEL = WITHOUT_HOOKS


@pytest.mark.parametrize("case", other_ways_out(), ids=lambda case: case.id)
def test_nothing_gets_out(worker, case):
    must_hold(worker, case)
