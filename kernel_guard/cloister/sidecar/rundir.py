"""Private directories for sockets.

A Unix socket's path may have at most 107 bytes, so they are short and not below the home. Nobody
but this account can enter them: whoever could would be able to listen to every output.
"""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from pathlib import Path

from cloister.core.errors import SandboxUnavailable

LONGEST_BASE = 60


def run_base() -> Path:
    """Returns the directory that holds the run directories of this account's kernels.

    Raises:
        SandboxUnavailable: It belongs to somebody else, or others can enter it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    parent = (
        runtime if runtime and len(runtime) <= LONGEST_BASE and os.access(runtime, os.W_OK) else ""
    )
    base = Path(parent or tempfile.gettempdir()) / f"cloister-{os.getuid()}"
    if len(str(base)) > LONGEST_BASE:
        base = Path("/tmp") / f"cloister-{os.getuid()}"  # noqa: S108 - checked below
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        found = base.lstat()
    except OSError:
        raise _unusable("cannot be made") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise _unusable("is not a private directory of this account")
    return base


def new_run_dir() -> Path:
    """Makes and returns a fresh private directory for one kernel."""
    path = run_base() / secrets.token_hex(6)
    path.mkdir(mode=0o700)
    return path


def _unusable(why: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"The directory for kernel sockets {why}.",
        code="CLO-SANDBOX-004",
        remedy="Remove it, or set XDG_RUNTIME_DIR to a private directory.",
    )
