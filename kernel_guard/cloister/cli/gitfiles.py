"""What git is about to commit, and the hook that has it checked.

Blobs are read from the index by their object ids: a file that changes between check and commit is
not what is committed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from cloister.core.errors import CloisterError

_LINK: Final = "120000"
_SUBMODULE: Final = "160000"
_CHECKED: Final = (
    ".ipynb", ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".ipc",
    ".xlsx", ".zip", ".gz", ".pkl", ".pickle",
)  # fmt: skip
_COMMAND: Final = "cloister share --check --staged"
_HOOK: Final = f"""#!/bin/sh
# Keeps notebooks and data files with sensitive values out of commits.
exec {_COMMAND}
"""


def staged_files(names: list[str]) -> list[tuple[str, str]]:
    """Returns path and object id of what is staged and would be committed.

    Args:
        names: Paths below the working directory; all notebooks and data files when empty.

    Raises:
        CloisterError: Git said no (``CLO-SHARE-003``).
    """
    where = ["--", *(f":(literal){name}" for name in names)] if names else []
    listing = _git(
        "diff", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev", "--diff-filter=d", *where
    )
    fields = listing.decode("utf-8", "surrogateescape").split("\0")
    found = []
    for facts, path in zip(fields[::2], fields[1::2], strict=False):
        _, mode, _, blob, _ = facts.split(" ")
        is_wanted = names or path.lower().endswith(_CHECKED)
        if is_wanted and mode not in {_LINK, _SUBMODULE}:
            found.append((path, blob))
    return found


def staged_content(blob: str) -> bytes:
    """Returns the bytes of an object."""
    return _git("cat-file", "blob", blob)


def install_hook() -> Path:
    """Writes the pre-commit hook of this clone and returns where it is.

    Raises:
        CloisterError: There is one already (``CLO-SHARE-004``), or this is no repository.
    """
    place = Path(_git("rev-parse", "--git-path", "hooks/pre-commit").decode().rstrip("\n"))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755)
    except FileExistsError:
        raise CloisterError(
            "This clone has a pre-commit hook already.",
            code="CLO-SHARE-004",
            remedy=f"Add this line to it: {_COMMAND} || exit 1",
        ) from None
    except OSError as error:
        raise CloisterError(
            f"The hook cannot be written ({type(error).__name__}).",
            code="CLO-SHARE-006",
            remedy="Check the permissions of the clone.",
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as hook:
        hook.write(_HOOK)
    return place


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(
            ["git", *arguments],  # noqa: S607 - the git that the user has
            check=True,
            capture_output=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        raise CloisterError(
            "Git said no, or this is no repository.",
            code="CLO-SHARE-003",
            remedy="Run it inside the repository.",
        ) from None
