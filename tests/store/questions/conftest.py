"""A history that questions are asked of, in both databases."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cloister.store.lineage_reader import LineageReader
from cloister.store.questions.record import Record

sys.path.insert(0, str(Path(__file__).parent))

from histories import History


@pytest.fixture
def history(log):
    return History(log)


@pytest.fixture
def record(home, log):
    with LineageReader(home) as reader:
        yield Record(reader)
