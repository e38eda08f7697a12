"""The policy section ``egress``: which destinations kernels may reach, and how.

A rule allows; what no rule allows is denied. A rule that says nothing about methods, paths or
purposes covers all of them. The highest level that a kernel may carry is ``restricted`` where the
proxy opens the connection and scans what leaves, and ``internal`` where it cannot look inside.

Paths are matched after they were made readable in one way only (:func:`plain_path`): a path that
two programs could read differently matches no rule that names paths.

Source: RFC 3986 sections 3.3 and 6.2 (paths, normalisation), RFC 9110 section 9 (methods).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from cloister.core.labels import Level

if TYPE_CHECKING:
    from collections.abc import Mapping

HTTPS_PORT: Final = 443


class Found(Enum):
    """What happens to a request in which sensitive values were found."""

    BLOCK = "block"
    MASK = "mask"
    ALLOW = "allow"


class Window(Enum):
    """The span of time that a quota counts over; it begins on the full hour or day of UTC."""

    HOUR = "hour"
    DAY = "day"

    @property
    def seconds(self) -> int:
        """Length in seconds."""
        return 3_600 if self is Window.HOUR else 86_400


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that one user may send by one rule in a window, all kernels together.

    Attributes:
        requests: Requests, a tunnel counting as one; ``None`` for no limit.
        bytes: Bytes sent to the destination; ``None`` for no limit.
        per: The window.
    """

    requests: int | None
    bytes: int | None
    per: Window


@dataclass(frozen=True, slots=True)
class EgressRule:
    """One destination that kernels may reach.

    Attributes:
        id: Rule id, ``egress.allow[0]``.
        host: Host name, ``*.example.org`` or IP address, lower case.
        ports: Allowed TCP ports.
        reason: Why it is allowed, for the record.
        methods: HTTP methods in upper case; empty for all.
        paths: Globs on the plain path: ``*`` within one segment, ``**`` over many; empty for all.
        level: The highest level that a kernel may carry.
        purposes: Purposes of which the kernel must have one; empty for any.
        inspect: Whether TLS is opened and bodies are scanned; else the tunnel stays closed.
        found: What happens to a request in which sensitive values were found.
        quota: What one user may send, or ``None`` for no limit.
        traceparent: Whether requests carry the trace of their execution.
    """

    id: str
    host: str
    ports: tuple[int, ...]
    reason: str = ""
    methods: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()
    level: Level = Level.RESTRICTED
    purposes: frozenset[str] = frozenset()
    inspect: bool = True
    found: Found = Found.BLOCK
    quota: Quota | None = None
    traceparent: bool = False

    def matches(self, host: str, port: int) -> bool:
        """Returns whether this rule covers ``host`` (any case, no trailing dot needed)."""
        return port in self.ports and fnmatchcase(host.lower().rstrip("."), self.host)

    def allows_method(self, method: str) -> bool:
        """Returns whether the rule covers an HTTP method; methods are case-sensitive."""
        return not self.methods or method in self.methods

    def allows_path(self, path: str) -> bool:
        """Returns whether the rule covers a path, given as it stands in the request target."""
        if not self.paths:
            return True
        plain = plain_path(path)
        return plain is not None and any(_path_pattern(g).fullmatch(plain) for g in self.paths)


@dataclass(frozen=True, slots=True)
class EgressUse:
    """What a kernel wants of the way out.

    Attributes:
        host: Lower-case name or canonical address.
        port: TCP port.
        method: HTTP method; ``None`` where there is none yet (a tunnel that begins).
        path: Path of the request target without its query; ``None`` as above.
        level: The highest level that the kernel carries.
        purposes: What the kernel is for.
    """

    host: str
    port: int
    method: str | None = None
    path: str | None = None
    level: Level = Level.PUBLIC
    purposes: frozenset[str] = frozenset()


def egress_rules_from_dict(section: Mapping[str, Any]) -> tuple[EgressRule, ...]:
    """Builds the rules of the section ``egress``, which the schema has accepted."""
    return tuple(_rule(f"egress.allow[{i}]", e) for i, e in enumerate(section.get("allow", ())))


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """What holds for all destinations.

    Attributes:
        ca_file: Certificates that the proxy trusts upstream beside the system's, or ``None``.
        upload_bytes: The most bytes that one scanned request may have, as sent and as unpacked.
        time_limit_s: How long the check of one request may take.
    """

    ca_file: str | None = None
    upload_bytes: int = 33_554_432
    time_limit_s: float = 60.0


def egress_limits_from_dict(section: Mapping[str, Any]) -> EgressLimits:
    """Builds what the section ``egress`` says about all destinations."""
    default = EgressLimits()
    return EgressLimits(
        section.get("ca_file"),
        section.get("upload_bytes", default.upload_bytes),
        section.get("time_limit_s", default.time_limit_s),
    )


def _rule(rule_id: str, entry: Mapping[str, Any]) -> EgressRule:
    methods = frozenset(m.upper() for m in entry.get("methods", ()))
    paths = tuple(entry.get("paths", ()))
    # What a rule says about requests can be kept only where the proxy sees requests.
    traceparent = entry.get("traceparent", False)
    inspect = entry.get("inspect", True) or bool(methods or paths or traceparent)
    default_level = Level.RESTRICTED if inspect else Level.INTERNAL
    level, quota = entry.get("level"), entry.get("quota")
    return EgressRule(
        id=rule_id,
        host=entry["host"].lower().rstrip("."),
        ports=tuple(entry.get("ports", [HTTPS_PORT])),
        reason=entry.get("reason", ""),
        methods=methods,
        paths=paths,
        level=default_level if level is None else Level.parse(level),
        purposes=frozenset(entry.get("purposes", ())),
        inspect=inspect,
        found=Found(entry.get("found", "block")),
        quota=None
        if quota is None
        else Quota(quota.get("requests"), quota.get("bytes"), Window(quota.get("per", "day"))),
        traceparent=traceparent,
    )


_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})?")
_AMBIGUOUS: Final = re.compile(r"[\x00-\x1f\x7f\\?#%/;]")


def plain_path(path: str) -> str | None:
    """Returns a path in the one spelling that rules are matched with.

    Args:
        path: The path of a request target, without query; begins with ``/``.

    Returns:
        The path with its escapes decoded, or ``None`` when programs may read it in more than one
        way: dot segments, empty segments, parameters, backslashes, control characters, and escapes
        that are broken, doubled, or stand for one of these or for a slash.
    """
    if not path.startswith("/"):
        return None
    segments = []
    for written in path[1:].split("/"):
        if any(match[1] is None for match in _ESCAPE.finditer(written)):
            return None
        try:
            segment = unquote_to_bytes(written).decode("utf-8")
        except UnicodeDecodeError:
            return None
        if segment in {".", ".."} or _AMBIGUOUS.search(segment):
            return None
        segments.append(segment)
    if "" in segments[:-1]:
        return None
    return "/" + "/".join(segments)


@lru_cache(maxsize=1024)
def _path_pattern(glob: str) -> re.Pattern[str]:
    """Compiles a glob: ``**`` matches anything, ``*`` anything but a slash."""
    pieces = re.split(r"(\*\*|\*)", glob)
    meaning = {"**": r"[\s\S]*", "*": "[^/]*"}
    return re.compile("".join(meaning.get(piece) or re.escape(piece) for piece in pieces))
