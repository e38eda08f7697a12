"""Sidecars of one workspace share what a scan found: a file is read once, by whoever is first."""

from __future__ import annotations

import threading
import time

import pytest
from cloister.core.policy import policy_from_dict
from cloister.detect.exact import ExactIndex
from cloister.sidecar.scan import Scanner
from cloister.store.catalog import Catalog
from cloister.store.home import Home, ensure_home

KEY = b"k" * 32


@pytest.fixture
def workspace(tmp_path):
    """A home and a table."""
    path = tmp_path / "people.csv"
    lines = [f"{219 + i}-09-{9871 - i},{i}" for i in range(60)]
    path.write_text("\n".join(["ssn,n", *lines]) + "\n")
    return ensure_home(Home(tmp_path / "home")), path


def sidecar(home) -> Scanner:
    policy = policy_from_dict({"version": 1}, "0" * 64)
    return Scanner(home, KEY, policy, Catalog(home), ExactIndex(KEY))


def test_sidecars_that_start_together_read_a_file_once(workspace, monkeypatch):
    home, path = workspace
    read, reads = Scanner._read, []

    def slowly(self, *args):
        reads.append(self)
        time.sleep(0.2)
        return read(self, *args)

    monkeypatch.setattr(Scanner, "_read", slowly)
    sidecars = [sidecar(home) for _ in range(4)]
    threads = [threading.Thread(target=one.scan, args=(path,)) for one in sidecars]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1
    for one in sidecars:
        assert len(one.index.find("number 220-09-9870")) == 1
    assert not list(home.index_dir.glob("*.lock"))


def test_a_scan_that_fails_leaves_the_turn_to_the_next(workspace, monkeypatch):
    home, path = workspace

    def fails(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Scanner, "_read", fails)
        with pytest.raises(MemoryError):
            sidecar(home).scan(path)
    after = sidecar(home)
    after.scan(path)
    assert len(after.index.find("number 220-09-9870")) == 1


def test_without_a_place_for_the_cache_a_file_is_read(workspace):
    home, path = workspace
    if home.index_dir.exists():
        home.index_dir.rmdir()
    home.index_dir.write_text("no directory")
    one = sidecar(home)
    one.scan(path)
    assert len(one.index.find("number 220-09-9870")) == 1
