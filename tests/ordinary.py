"""A program run by an account that has no rights, from tests that root runs.

The account is a number that nobody has, with a home of its own. Where the interpreter lies below a
directory that only root may enter, a mount namespace of its own shows it there and nothing else.
"""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

UID = 23_456
ROOT = Path(__file__).resolve().parents[1]


def run_as_ordinary(
    home: Path,
    command: Sequence[str],
    *,
    environ: dict[str, str] | None = None,
    has_namespaces: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Runs a command as an account without rights, in a home that belongs to it.

    Args:
        home: Made if it is not there, given to the account, and where the command starts. Every
            directory above it must be open to others.
        command: What to run.
        environ: More variables; of this process's only the ways to Python and Cloister are kept.
        has_namespaces: Whether the system lets the account make namespaces.
    """
    home.mkdir(parents=True, exist_ok=True)
    subprocess.run(["chown", "-R", f"{UID}:{UID}", home], check=True)
    variables = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        **(environ or {}),
    }
    ordinary = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"]
    if not has_namespaces:
        ordinary += _WITHOUT_NAMESPACES
    script = f"set -e\n{_open_closed_directories()}\nexec {shlex.join([*ordinary, *command])}"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env=variables,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


# A user namespace in which there may be no further one: as in a container that forbids them.
_WITHOUT_NAMESPACES = [
    *("unshare", "--user", f"--map-user={UID}", f"--map-group={UID}", "--keep-caps"),
    *("sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"', "sh"),
    *("setpriv", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"),
]


def _open_closed_directories() -> str:
    """Returns shell commands that show what Python needs where others may not look."""
    needed = {Path(p).resolve() for p in (sys.prefix, sys.base_prefix, ROOT)}
    holes: dict[Path, list[Path]] = {}
    for path in needed:
        closed = next(
            (p for p in [*path.parents][::-1] if not p.stat().st_mode & stat.S_IXOTH), None
        )
        if closed is not None:
            holes.setdefault(closed, []).append(path)
    lines = ["mount --make-rprivate /"]
    for closed, paths in holes.items():
        lines += ["stage=$(mktemp -d)", "chmod 755 $stage"]
        for path in paths:
            inside = f"$stage/{shlex.quote(str(path.relative_to(closed)))}"
            lines += [f"mkdir -p {inside}", f"mount --bind {shlex.quote(str(path))} {inside}"]
        lines.append(f"mount --rbind $stage {shlex.quote(str(closed))}")
    return "\n".join(lines)
