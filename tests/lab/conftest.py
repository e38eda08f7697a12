"""Servers and homes for the tests of the server extension."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from labserver import make_home, run_server


@pytest.fixture
def home(tmp_path):
    return make_home(tmp_path / "home")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for a module; its home is empty at first."""
    base = tmp_path_factory.mktemp("server")
    with run_server(base, make_home(base / "home")) as running:
        running.settle()
        yield running
