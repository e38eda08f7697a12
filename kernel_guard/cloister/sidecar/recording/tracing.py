"""The trace that an execution belongs to (W3C Trace Context).

A client may name one as ``traceparent`` in the metadata of its request; then the execution is a
span of that trace. Otherwise the trace is made of the request's id. Ids are hex digits, so that
nothing else can be carried in them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# https://www.w3.org/TR/trace-context/#traceparent-header; a version that is not known may go on.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Trace:
    """Where an execution stands in a trace.

    Attributes:
        trace_id: 32 hex digits.
        span_id: 16 hex digits; the execution's own.
        parent_span_id: The client's span, or ``None``.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None = None


def trace_of(msg_id: str, metadata: Mapping[str, Any]) -> Trace:
    """Returns the trace of a request.

    Args:
        msg_id: Its id.
        metadata: What its client says with it; a ``traceparent`` that is none is left alone.
    """
    own = hashlib.sha256(msg_id.encode("utf-8", "surrogatepass")).hexdigest()
    given = metadata.get("traceparent")
    found = _TRACEPARENT.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        return Trace(own[:32], own[32:48])
    return Trace(found[1], own[32:48], found[2])
