"""Reads, checks and replaces the live policy. Whatever goes wrong, no policy means no permission.

YAML is read with ``safe_load`` semantics and three refusals that it lacks: duplicate keys, numbers
that are not finite, and documents whose aliases unfold beyond any sensible size. What passes the
schema is kept as JSON beside the store, keyed by the digests of file and schema, so that the start
of a kernel imports neither PyYAML nor jsonschema (about 150 ms). The home is private, so its cache
is as trustworthy as the policy file itself; a damaged cache only costs the time to compile again.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import PolicyInvalid
from cloister.core.policy import Policy, policy_from_dict
from cloister.store.files import locked, write_atomic
from cloister.store.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_POLICY_BYTES: Final = 1_000_000
_CACHE_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a policy file.

    Attributes:
        line: Line in the file, from 1.
        column: Column in the line, from 1.
        path: Where in the document, for instance ``egress.allow[0].host``; empty at the top.
        message: What is wrong and, where it is known, what was probably meant.
    """

    line: int
    column: int
    path: str
    message: str

    def as_dict(self) -> dict[str, str | int]:
        """Returns the problem as JSON."""
        return {
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "message": self.message,
        }


class PolicyRejected(PolicyInvalid):
    """A policy that is not in force because it does not pass its checks.

    Attributes:
        problems: Everything that was found, in file order; never empty.
    """

    def __init__(self, problems: tuple[Problem, ...], *, code: str = "CLO-POLICY-001") -> None:
        self.problems = problems
        first = problems[0]
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        super().__init__(
            f"The policy is not valid: line {first.line}: {first.message}{more}.",
            code=code,
            remedy="Run: cloister policy check FILE. Nothing is allowed until the policy is valid.",
        )


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One version in the history.

    Attributes:
        seq: Number of the version, from 1.
        digest: First twelve hex digits of the SHA-256 of the file.
        applied_us: When it went live, microseconds since 1970.
        live: Whether it is in force now.
        path: The kept copy.
    """

    seq: int
    digest: str
    applied_us: int
    live: bool
    path: Path


def load_policy(source: Home | Path, cache: Path | None = None) -> Policy:
    """Returns the policy that a home or a file holds.

    Args:
        source: A home, whose live policy is read through its cache, or a YAML file.
        cache: Where to keep the compiled policy; the home's own when ``source`` is a home.

    Raises:
        PolicyRejected: The file is missing, unreadable or not valid. There is no fallback.
    """
    if isinstance(source, Home):
        path, cache = source.policy_path, cache or source.policy_cache
    else:
        path = source
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    key = {"format": _CACHE_FORMAT, "file": digest, "schema": _schema_digest()}
    if cache is not None and (data := _read_cache(cache, key)) is not None:
        return policy_from_dict(data, digest)
    data = _compile(content)
    if cache is not None:
        # Without the cache the next start is slower, nothing else.
        with suppress(OSError):
            write_atomic(cache, json.dumps({"key": key, "data": data}).encode(), durable=False)
    return policy_from_dict(data, digest)


def check_policy(path: Path) -> tuple[Problem, ...]:
    """Returns everything that is wrong with a policy file; nothing when it is valid."""
    try:
        _compile(_read(path))
    except PolicyRejected as rejected:
        return rejected.problems
    return ()


def apply_policy(
    home: Home, path: Path, *, before_live: Callable[[Policy], None] | None = None
) -> Policy:
    """Validates a file and makes it the live policy, keeping every version that was live.

    Args:
        home: The workspace.
        path: The new policy.
        before_live: Called with the valid policy before it goes live, for instance to record it;
            when it raises, the old policy stays.

    Raises:
        PolicyRejected: The file is not valid; the old policy stays.
        OSError: The home cannot be written; the old policy stays.
    """
    content = _read(path)
    policy = policy_from_dict(_compile(content), hashlib.sha256(content).hexdigest())
    with locked(home.policy_history / ".lock"):
        with suppress(FileNotFoundError):
            _keep(home, home.policy_path.read_bytes())
        if before_live is not None:
            before_live(policy)
        _keep(home, content)
        write_atomic(home.policy_path, content)
    return policy


def policy_history(home: Home) -> tuple[PolicyVersion, ...]:
    """Returns the versions that were live, newest first; the live file counts even if unsaved."""
    live = hashlib.sha256(_read(home.policy_path)).hexdigest()[:12]
    versions: list[PolicyVersion] = []
    for number, path in reversed(_kept(home)):
        digest = path.stem.partition("-")[2]
        versions.append(
            PolicyVersion(
                number,
                digest,
                path.stat().st_mtime_ns // 1000,
                live=digest == live and not any(version.live for version in versions),
                path=path,
            )
        )
    if not any(version.live for version in versions):
        newest = PolicyVersion(
            len(versions) + 1,
            live,
            home.policy_path.stat().st_mtime_ns // 1000,
            live=True,
            path=home.policy_path,
        )
        versions.insert(0, newest)
    return tuple(versions)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_POLICY_BYTES + 1)
    except FileNotFoundError:
        raise _unreadable("the file does not exist") from None
    except IsADirectoryError:
        raise _unreadable("it is a directory") from None
    except OSError as error:
        raise _unreadable(f"the file cannot be read ({type(error).__name__})") from error
    if len(content) > MAX_POLICY_BYTES:
        raise _unreadable(f"the file is larger than {MAX_POLICY_BYTES} bytes")
    return content


def _unreadable(message: str) -> PolicyRejected:
    return PolicyRejected((Problem(1, 1, "", message),), code="CLO-POLICY-002")


def _compile(content: bytes) -> dict[str, Any]:
    """Parses and validates; the only part that imports PyYAML and jsonschema."""
    from cloister.store.policy_check import validate_policy_text

    data, problems = validate_policy_text(content, json.loads(_schema_bytes()))
    if problems:
        raise PolicyRejected(problems)
    return data


def _read_cache(path: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    try:
        stored = json.loads(path.read_bytes())
        if stored["key"] != key or not isinstance(stored["data"], dict):
            return None
    except (OSError, ValueError, TypeError, KeyError):
        return None
    data: dict[str, Any] = stored["data"]
    return data


@cache
def _schema_bytes() -> bytes:
    # Read by path: importlib.resources costs 25 ms, and Cloister is never run from a zip file.
    import cloister.core

    return Path(cloister.core.__path__[0], "policy.schema.json").read_bytes()


@cache
def _schema_digest() -> str:
    return hashlib.sha256(_schema_bytes()).hexdigest()


def _kept(home: Home) -> list[tuple[int, Path]]:
    found = []
    for path in home.policy_history.glob("*-*.yaml"):
        number = path.stem.partition("-")[0]
        if number.isdigit():
            found.append((int(number), path))
    return sorted(found)


def _keep(home: Home, content: bytes) -> None:
    """Adds a version to the history unless it is the newest one there."""
    kept = _kept(home)
    digest = hashlib.sha256(content).hexdigest()[:12]
    if kept and kept[-1][1].stem.endswith(f"-{digest}"):
        return
    number = kept[-1][0] + 1 if kept else 1
    write_atomic(home.policy_history / f"{number:06d}-{digest}.yaml", content)
