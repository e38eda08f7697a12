"""The drill as somebody who is not root: walls of an ordinary account hold, too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

UID = 23_456
CASES = ("text-value", "network-tcp", "filesystem-read-outside", "isolation-signal")
#: An interpreter below a closed home, as root's often is, is mounted where others may go.
DROP = """
set -e
if [ -n "$CLOSED" ]; then
  kept=$(mktemp -d)
  mount --bind "$BASE" "$kept"
  mount -t tmpfs -o mode=755 tmpfs "$CLOSED"
  mkdir -p "$BASE"
  mount --bind "$kept" "$BASE"
fi
exec setpriv --reuid "$ID" --regid "$ID" --clear-groups "$@"
"""


def closed_directory(path: Path) -> Path | None:
    """Returns the uppermost directory above ``path`` that others may not pass."""
    above = [place for place in [*reversed(path.parents), path] if not place.stat().st_mode & 0o001]
    return above[0] if above else None


def as_user(command: list[str], place: Path) -> list[str]:
    """Returns a command line that runs another as an ordinary user."""
    if os.geteuid() != 0:
        return command
    base = Path(sys.base_prefix).resolve()
    closed = closed_directory(base)
    own = closed_directory(Path(sys.prefix))
    if own is not None and own != closed:
        pytest.skip(f"an ordinary user cannot get at {own}")
    os.chown(place, UID, UID)
    told = {"CLOSED": str(closed or ""), "BASE": str(base), "ID": str(UID)}
    settings = [f"{name}={value}" for name, value in told.items()]
    drop = ["env", *settings, "sh", "-c", DROP, "drop", *command]
    if closed is None:
        return drop
    probe = subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True)
    if probe.returncode != 0:
        pytest.skip("this container cannot give the interpreter to another user")
    return ["unshare", "-m", *drop]


def test_an_ordinary_user_holds_the_same_cases(tmp_path_factory):
    place = Path(tmp_path_factory.mktemp("user", numbered=True))
    home = Path("/tmp") / f"cloister-user-{os.getpid()}"  # pytest's directories are the runner's
    home.mkdir(mode=0o700)
    variables = {
        "HOME": str(home),
        "CLOISTER_HOME": str(home / "home"),
        "TMPDIR": str(home),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    only = [word for case in CASES for word in ("--only", case)]
    command = [str(Path(sys.executable).with_name("cloister")), "drill", "--json", *only]
    try:
        done = subprocess.run(
            as_user(command, home),
            env=variables,
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        owner = (home / "home").stat().st_uid
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=False)
    assert owner != 0, "it ran as somebody else than root"
    outcomes = {case["id"]: case["outcome"] for case in json.loads(done.stdout)["cases"]}
    assert outcomes == dict(zip(CASES, ("masked", *["blocked"] * 3), strict=True))
