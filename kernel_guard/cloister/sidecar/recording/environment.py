"""What a kernel runs on: Python, packages, image and commit, read from outside it once.

Names and versions of packages are those of the directories that pip leaves beside them; nothing is
imported and no program is run. What a cell installs later is not in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_METADATA: Final = re.compile(r"(.+)-([^-]+)\.(?:dist-info|egg-info)")
_COMMIT: Final = re.compile(r"[0-9a-f]{40,64}")
_IMAGE_VARIABLES: Final = ("JUPYTER_IMAGE", "JUPYTER_IMAGE_SPEC", "CONTAINER_IMAGE")
_MOST_PACKED_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Environment:
    """What a kernel runs on.

    Attributes:
        digest: SHA-256 over everything below, as hex.
        python: Version of the interpreter.
        packages: ``name==version``, sorted.
        image: What the container's image is called, or the system's name and version.
        commit: The git commit of the workspace, or ``None``.
    """

    digest: str
    python: str
    packages: tuple[str, ...]
    image: str
    commit: str | None


def environment_of(
    interpreter: str, workspace: Path, environ: Mapping[str, str] = os.environ
) -> Environment:
    """Reads the environment of a kernel.

    Args:
        interpreter: The kernel's Python, as its command names it.
        workspace: Where its files are.
        environ: Where the image's name may stand.
    """
    prefix = Path(os.path.abspath(interpreter)).parent.parent  # noqa: PTH100 - links not followed
    packages: tuple[str, ...] = ()
    python = ""
    for site in sorted(prefix.glob("lib/python3*/site-packages")):
        python = python or site.parent.name.removeprefix("python")
        packages += tuple(_packages(site))
    if prefix.is_dir() and prefix.samefile(sys.prefix):
        python = ".".join(map(str, sys.version_info[:3]))
    packages = tuple(sorted(set(packages)))
    image, commit = _image(environ), commit_of(workspace)
    facts = json.dumps([python, packages, image, commit])
    return Environment(hashlib.sha256(facts.encode()).hexdigest(), python, packages, image, commit)


def commit_of(directory: Path) -> str | None:
    """Returns the commit that a working tree stands on; whether files differ is not looked at."""
    for place in (directory, *directory.parents):
        git = place / ".git"
        try:
            if git.is_file():  # a further working tree of a repository
                git = (place / git.read_text("utf-8").removeprefix("gitdir:").strip()).resolve()
            if git.is_dir():
                return _head(git)
        except (OSError, ValueError):
            return None
    return None


def _head(git: Path) -> str | None:
    head = (git / "HEAD").read_text("utf-8").strip()
    name = head.removeprefix("ref:").strip()
    if name == head:
        return head if _COMMIT.fullmatch(head) else None
    common = git
    if (git / "commondir").is_file():
        common = (git / (git / "commondir").read_text("utf-8").strip()).resolve()
    if ".." in Path(name).parts or Path(name).is_absolute():
        return None
    for place in (git, common):
        if (place / name).is_file():
            found = (place / name).read_text("utf-8").strip()
            return found if _COMMIT.fullmatch(found) else None
    packed = common / "packed-refs"
    if packed.is_file() and packed.stat().st_size <= _MOST_PACKED_BYTES:
        for line in packed.read_text("utf-8", "replace").splitlines():
            commit, _, ref = line.partition(" ")
            if ref == name and _COMMIT.fullmatch(commit):
                return commit
    return None


def _packages(site: Path) -> Iterator[str]:
    try:
        names = [entry.name for entry in site.iterdir()]
    except OSError:
        return
    for name in names:
        found = _METADATA.fullmatch(name)
        if found:
            yield f"{found[1].replace('_', '-').lower()}=={found[2]}"


def _image(environ: Mapping[str, str]) -> str:
    for variable in _IMAGE_VARIABLES:
        if environ.get(variable):
            return environ[variable][:200]
    try:
        lines = Path("/etc/os-release").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    facts = dict(line.split("=", 1) for line in lines if "=" in line)
    return f"{facts.get('ID', '')} {facts.get('VERSION_ID', '')}".replace('"', "").strip()
