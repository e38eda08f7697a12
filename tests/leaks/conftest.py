"""The corpus, canaries that are the same in each run, and a worker for each file of cases."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest
from cloister.cli.drill.canaries import fresh_canaries
from cloister.cli.drill.ground import Ground
from cloister.cli.drill.running import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloister.cli.drill.canaries import Canaries


def repeatable_choice():
    """Chooses as if by chance, in each run alike: a case that fails must fail again."""
    numbers = count()

    def choose(options: Sequence[str]) -> str:
        digest = hashlib.sha256(str(next(numbers)).encode()).digest()
        return options[int.from_bytes(digest[:8], "big") % len(options)]

    return choose


@pytest.fixture(scope="session")
def canaries() -> Canaries:
    made = fresh_canaries(repeatable_choice())
    # What two runs on one machine leave outside a kernel must not be taken for each other's.
    return replace(made, mark=f"{made.mark}{os.getpid()}")


@pytest.fixture(scope="module")
def ground(canaries: Canaries) -> Iterator[Ground]:
    with Ground(canaries) as ground:
        yield ground


@pytest.fixture(scope="module")
def worker(request, ground: Ground, canaries: Canaries) -> Iterator[Worker]:
    """A worker with the kernel spec that the module names."""
    with Worker(ground, canaries, "worker", request.module.KERNEL) as worker:
        yield worker
