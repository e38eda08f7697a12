"""Cases that end in a message, in a kernel that never loaded the hooks.

Law 2 of the design: what runs outside the kernel decides, so the guarantee must be the same.
"""

from __future__ import annotations

import pytest
from cloister.cli.drill.ground import WITHOUT_HOOKS

from .families import outputs
from .holding import must_hold

KERNEL = WITHOUT_HOOKS


@pytest.mark.parametrize("case", outputs(), ids=lambda case: case.id)
def test_nothing_gets_out(worker, case):
    must_hold(worker, case)
