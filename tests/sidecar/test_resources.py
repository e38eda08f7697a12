"""Limits of memory, processes, files and disk: what a client sees, and a whole record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from textwrap import indent

import pytest
from cloister.core.resources import ResourceLimits
from cloister.sidecar import usage
from cloister.sidecar.controlgroup import try_group

HOARD = "kept = []\nfor _ in range(100):\n    kept.append(b'x' * 20_000_000)"
FILL = (
    "import time\n"
    "with open('filler', 'wb') as file:\n"
    "    for _ in range(100):\n"
    "        file.write(b'x' * 1_000_000); file.flush(); time.sleep(0.05)\n"
    "time.sleep(20)"
)
FORK = "import os, time\nfor _ in range(90):\n    os.fork() or time.sleep(30)\ntime.sleep(30)"

_NO_GROUPS = """
import sys
from cloister.sidecar import controlgroup
from cloister.sidecar.__main__ import main
controlgroup._places = lambda: iter(())
sys.exit(main(sys.argv[1]))
"""


@pytest.fixture
def limited(home, start_kernel):
    """Starts a kernel with limits."""

    def start(**limits):
        home.mkdir(mode=0o700, exist_ok=True)
        text = "\n".join(f"  {key}: {value}" for key, value in limits.items())
        (home / "policy.yaml").write_text(f"version: 1\nresources:\n{text}\n")
        return start_kernel()

    return start


@pytest.fixture
def no_groups(monkeypatch, tmp_path):
    """Sidecars that can make no control group, as on most machines of ordinary accounts."""
    from cloister.sidecar.provisioner import CloisterProvisioner

    program = tmp_path / "no_groups.py"
    program.write_text(_NO_GROUPS)
    ready = CloisterProvisioner.pre_launch

    async def pre_launch(self, **kwargs):
        launch = await ready(self, **kwargs)
        launch["cmd"] = [sys.executable, "-P", str(program), launch["cmd"][-1]]
        return launch

    monkeypatch.setattr(CloisterProvisioner, "pre_launch", pre_launch)


def must_say(result, number, key=None):
    assert result.reply["ename"] == "ResourceExceeded"
    assert f"CLO-RESOURCE-{number}" in result.reply["evalue"]
    assert key is None or f"Rule: resources.{key}." in result.reply["evalue"]
    assert any(kind == "error" for kind, _ in result.messages)


def record_of(home):
    done = subprocess.run(
        [Path(sys.executable).with_name("cloister"), "lineage", "verify", "--json"],
        env={**os.environ, "CLOISTER_HOME": str(home)},
        capture_output=True,
        check=False,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("has_group", [True, False])
def test_memory(limited, home, request, has_group):
    if not has_group:
        request.getfixturevalue("no_groups")
    elif not try_group(ResourceLimits()):
        pytest.skip("this account can make no control group")
    kernel = limited(memory_bytes=400_000_000)
    time.sleep(1.5)  # it joins a group when it has settled
    must_say(kernel.run(HOARD), "001", "memory_bytes")
    assert record_of(home)["ok"]


def test_memory_of_files_that_nobody_has_mapped(limited, no_groups):
    kernel = limited(memory_bytes=400_000_000)
    fill = FILL.replace("'filler'", "'/tmp/filler'").replace("range(100)", "range(600)")
    must_say(kernel.run(fill.replace("; time.sleep(0.05)", "")), "001", "memory_bytes")


def test_forked_workers_share_their_memory(limited, no_groups):
    kernel = limited(memory_bytes=600_000_000)
    result = kernel.run(
        "import os, time\n"
        "big = b'x' * 200_000_000\n"
        "for _ in range(5):\n"
        "    os.fork() or (time.sleep(2), os._exit(0))\n"
        "time.sleep(2.5); print('done')"
    )
    assert result.text == "done\n", result.reply


def test_processes_are_watched(limited, no_groups):
    kernel = limited(processes=60)
    must_say(kernel.run(FORK), "002", "processes")


def test_processes_in_a_group_are_refused(limited):
    if not try_group(ResourceLimits()):
        pytest.skip("this account can make no control group")
    kernel = limited(processes=60)
    time.sleep(1.5)  # it joins the group when it has settled
    result = kernel.run(FORK)
    assert "Resource temporarily unavailable" in result.reply["evalue"]


def test_a_group_goes_with_its_kernel_also_when_nobody_tidies_up(home, workspace):
    if not try_group(ResourceLimits()):
        pytest.skip("this account can make no control group")
    starts_and_vanishes = (
        "from jupyter_client.manager import start_new_kernel\n"
        "import os, time\n"
        "km, kc = start_new_kernel(kernel_name='cloister')\n"
        "time.sleep(2)\n"
        "print(km.kernel_id, flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", starts_and_vanishes],
        cwd=workspace,
        capture_output=True,
        text=True,
        check=True,
    )
    name = f"cloister-{done.stdout.split()[-1]}"
    deadline = time.monotonic() + 20
    while (left := list(Path("/sys/fs/cgroup").rglob(name))) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


def test_open_files(limited):
    kernel = limited(open_files=200)
    result = kernel.run("files = [open('/dev/null') for _ in range(300)]")
    assert "Too many open files" in result.reply["evalue"]
    assert kernel.run("1").text == "1"
    raised = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))"
    assert kernel.run(raised).status == "error"


def test_core_files_are_never_written(limited):
    kernel = limited(open_files=200)
    assert kernel.run("import resource; resource.getrlimit(resource.RLIMIT_CORE)").text == "(0, 0)"


def test_who_had_no_cell_running_hears_it_from_the_next_kernel(limited, no_groups):
    kernel = limited(memory_bytes=400_000_000)
    later = (
        "import threading, time\n"
        "kept = []\n"
        "def work():\n"
        "    time.sleep(1)\n"
        "    while True:\n"
        "        kept.append(b'x' * 20_000_000)\n"
        "threading.Thread(target=work).start()"
    )
    assert kernel.run(later).status == "ok"
    deadline = time.monotonic() + 30
    while kernel.manager.is_alive() and time.monotonic() < deadline:
        time.sleep(0.1)
    kernel.manager.restart_kernel()
    kernel.client.wait_for_ready(timeout=60)
    first = kernel.run("1")
    assert "The kernel before this one ended. CLO-RESOURCE-001" in first.text
    assert "CLO-RESOURCE" not in kernel.run("2").text


def test_the_workspace(limited, home):
    kernel = limited(workspace_bytes=10_000_000)
    must_say(kernel.run(FILL), "003", "workspace_bytes")
    assert record_of(home)["ok"]


def test_a_workspace_that_was_too_large_can_be_tidied(limited, workspace):
    (workspace / "old").write_bytes(b"x" * 20_000_000)
    kernel = limited(workspace_bytes=10_000_000)
    result = kernel.run("import os, time; time.sleep(3); os.unlink('old'); time.sleep(3); 'tidy'")
    assert result.text == "'tidy'"


def test_a_disk_filled_by_a_kernel_leaves_room_for_the_record(tmp_path, monkeypatch, request):
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100m,mode=0700", "tmpfs", disk], check=False
    )
    if made.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        home = disk / "home"
        request.getfixturevalue("home")
        monkeypatch.setenv("CLOISTER_HOME", str(home))
        (disk / "workspace").mkdir()
        kernel = request.getfixturevalue("start_kernel")(cwd=disk / "workspace")
        fill = FILL.replace("range(100)", "range(300)")
        cell = f"import time\ntry:\n{indent(fill, '    ')}\nexcept OSError:\n    time.sleep(20)"
        must_say(kernel.run(cell), "004")
        report = record_of(home)
        assert report["ok"]
        (disk / "workspace" / "filler").unlink()
        kernel.manager.restart_kernel()
        kernel.client.wait_for_ready(timeout=60)
        assert kernel.run("2").text == "2"
        assert record_of(home)["events"] > report["events"]
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_stored_bytes_count_hard_links_once_and_follow_none(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 8192)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to("/usr")
    stored = usage.stored_bytes(tmp_path)
    assert 8192 <= stored < 8192 + 3 * 4096


def test_usage_of_a_process():
    seen = usage.usage([os.getpid()])
    assert seen.tasks >= 1
    assert seen.memory_bytes > 10_000_000
    assert usage.usage([2**22 + 1]) == usage.Usage(0, 0, 0)
