"""The walls: what a plan shows, what it hides, and in which order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cloister.core.errors import SandboxUnavailable
from cloister.sidecar import sandbox
from cloister.sidecar.syscallfilter import filter_program

HOME = Path("/state/cloister")
USER = Path("/home/ann")


def test_this_machine_can_make_a_sandbox():
    report = sandbox.probe()
    assert report.holds, report.reason


def test_a_binary_that_fails_is_no_sandbox(tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    report = sandbox.probe(str(fake))
    assert not report.holds
    assert "sandbox: optional" in report.fix


@pytest.mark.parametrize(
    ("root", "cwd", "expected"),
    [
        ("/srv/project", "/srv/project/sub", "/srv/project"),
        ("/srv/project", "/elsewhere", "/elsewhere"),
        ("/", "/srv/project", "/srv/project"),
        ("/home/ann", "/home/ann", "/home/ann"),
    ],
)
def test_the_workspace_is_the_servers_root(root, cwd, expected):
    assert sandbox.choose_workspace(Path(root), Path(cwd), HOME, USER) == Path(expected)


@pytest.mark.parametrize(("root", "cwd"), [("/", "/"), ("/home", "/home"), (HOME, HOME / "x")])
def test_some_directories_are_no_workspace(root, cwd):
    with pytest.raises(SandboxUnavailable, match=r"CLO-SANDBOX-00[23]"):
        sandbox.choose_workspace(Path(root), Path(cwd), HOME, USER)


def test_the_interpreter_is_readable_and_the_scripts_directory_is_not(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    paths = sandbox.interpreter_paths(sys.executable)
    import cloister

    assert any(Path(cloister.__file__).is_relative_to(path) for path in paths)
    assert any(Path(os.__file__).resolve().is_relative_to(path) for path in paths)
    assert not any(tmp_path.is_relative_to(path) for path in paths)


def test_an_environment_lets_named_variables_through_only():
    env = sandbox.kernel_environment(
        {
            "PATH": "/bin",
            "LC_ALL": "C",
            "MINE": "1",
            "AWS_SECRET_ACCESS_KEY": "s",
            "JUPYTER_TOKEN": "t",
            "JPY_PARENT_PID": "1",
            "HOME": "/home/ann",
        },
        ["MINE"],
        {"CLOISTER_BROKER": "/x"},
    )
    assert env["PATH"] == "/bin"
    assert env["MINE"] == "1"
    assert env["HOME"] == sandbox.INNER_HOME
    assert not env.keys() & {"AWS_SECRET_ACCESS_KEY", "JUPYTER_TOKEN", "JPY_PARENT_PID"}


def test_a_home_directory_as_workspace_loses_its_dot_entries(tmp_path):
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".secret").write_text("x")
    (tmp_path / "data").mkdir()
    hidden = sandbox.hidden_paths(tmp_path, HOME, Path("/run/x"), tmp_path)
    assert tmp_path / ".ssh" in hidden
    assert tmp_path / ".secret" in hidden
    assert tmp_path / "data" not in hidden


@pytest.fixture
def plan(tmp_path):
    for name in ("workspace/sub/venv", "workspace/.ssh", "k", "g", "home"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "workspace/.ssh/id").write_text("private")
    (tmp_path / "workspace/sub/venv/tool.py").write_text("x = 1")
    (tmp_path / "data.csv").write_text("a\n1\n")
    sandbox.write_etc(tmp_path / "e")
    return sandbox.SandboxPlan(
        workspace=tmp_path / "workspace",
        cwd=tmp_path / "workspace",
        read_only=(tmp_path / "workspace/sub/venv",),
        data=(tmp_path / "data.csv",),
        hidden=(tmp_path / "workspace/.ssh", tmp_path / "home"),
        kernel_dir=tmp_path / "k",
        guard_dir=tmp_path / "g",
        etc_dir=tmp_path / "e",
    )


def run(plan, script):
    filter_file = plan.etc_dir / "filter"
    filter_file.write_bytes(filter_program())
    command = sandbox.bwrap_command(plan, ["/bin/sh", "-c", script])
    # The descriptors have fixed numbers: only a process that has nothing open yet can give them.
    opened = f'exec "$@" {sandbox.STATUS_FD}>/dev/null {sandbox.FILTER_FD}<"$0"'
    done = subprocess.run(
        ["bash", "-c", opened, filter_file, *command], capture_output=True, text=True, check=False
    )
    return done.stdout


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("ls -A .ssh | wc -l", "0"),
        ("touch new && echo yes", "yes"),
        ("echo x >> sub/venv/tool.py && echo yes || echo no", "no"),
        ("echo x >> ../data.csv && echo yes || echo no", "no"),
        ("cat ../data.csv | wc -l", "2"),
        ("ls ../home 2>/dev/null | wc -l", "0"),
        ("ls /root /var /srv 2>/dev/null | wc -l", "0"),
        ("touch /planted 2>/dev/null && echo yes || echo no", "no"),
        ("id -u", "1000"),
        ("cat /proc/sys/user/max_user_namespaces; unshare -U true && echo yes", None),
        ("cat /etc/passwd | wc -l", "2"),
        ("ls /dev | grep -c sd", "0"),
    ],
)
def test_what_a_process_inside_can_do(plan, script, expected):
    out = run(plan, script).strip()
    if expected is None:
        assert not out.endswith("yes")
    else:
        assert out == expected
