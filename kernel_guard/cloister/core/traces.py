"""Ids of executions in traces (W3C Trace Context, w3.org/TR/trace-context). Pure.

The record names trace and span of an execution. Where it names no span, the span's id is made of
the execution's, in the same way by whoever asks: the server that sends the span, and the proxy that
passes it on.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

_TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}", re.ASCII)
_SPAN_ID: Final = re.compile(r"(?!0{16})[0-9a-f]{16}", re.ASCII)


def trace_id_of(intent: dict[str, Any]) -> str | None:
    """Returns the trace that an intent names, 32 hex digits."""
    return _matching(_TRACE_ID, intent.get("trace_id"))


def span_id_of(intent: dict[str, Any]) -> str | None:
    """Returns the span of an execution, 16 hex digits."""
    named = _matching(_SPAN_ID, intent.get("span_id"))
    execution = intent.get("execution_id")
    if named is not None or not isinstance(execution, str):
        return named
    return hashlib.sha256(execution.encode("utf-8", "surrogatepass")).hexdigest()[32:48]


def parent_span_id_of(intent: dict[str, Any]) -> str | None:
    """Returns the span of the client that asked for an execution, if it named one."""
    return _matching(_SPAN_ID, intent.get("parent_span_id"))


def traceparent(intent: dict[str, Any]) -> str | None:
    """Returns the header that puts what an execution calls below its span; it says "sampled"."""
    trace, span = trace_id_of(intent), span_id_of(intent)
    return None if trace is None or span is None else f"00-{trace}-{span}-01"


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None
