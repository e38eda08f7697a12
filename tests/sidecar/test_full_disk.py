"""A full disk: nothing runs unrecorded, and work goes on when there is room again."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 4 MB."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_refuses_execution_and_recovers(small_disk, monkeypatch, request, workspace):
    home = small_disk / "home"
    request.getfixturevalue("home")
    monkeypatch.setenv("CLOISTER_HOME", str(home))
    kernel = request.getfixturevalue("start_kernel")()
    assert kernel.run("1").text == "1"
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    results = [kernel.run(f"open('ran{i}', 'w').close()") for i in range(40)]
    refused = [i for i, r in enumerate(results) if r.status == "error"]
    assert refused, "the log's free pages lasted for every cell: fill the disk further"
    for i in refused:
        assert "CLO-STORE" in results[i].reply["evalue"]
        assert not (workspace / f"ran{i}").exists()
    filler.unlink()
    assert kernel.run("2").text == "2"
    done = subprocess.run(
        [Path(sys.executable).with_name("cloister"), "lineage", "verify"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
