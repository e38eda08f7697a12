"""A proxy with a provider behind it, for the tests of calls to language models and vendors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from providers import Rig, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def model() -> Iterator[Any]:
    with serving() as server:
        yield server


@pytest.fixture
def rig(tmp_path: Path, model: Any) -> Iterator[Rig]:
    with Rig(tmp_path) as rig:
        rig.allow(model)
        yield rig
