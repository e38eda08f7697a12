r"""Syslog lines (RFC 5424) with the Common Event Format, for a SIEM that reads nothing else.

CEF loses most of an event, so each line carries its number and hash. In CEF's header ``\`` and
``|`` are escaped, in its extension ``\`` and ``=`` (ArcSight Common Event Format, "Character
Encoding"); what could end a line or move a cursor is replaced before that, so a text can neither
begin a line nor a field.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Final

from cloister.store.executions import INTENT, RESULT
from cloister.store.exports import facts
from cloister.store.exports.product import NAME, VENDOR, product_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloister.store.exports.view import Event, RecordView

_AUDIT: Final = 13  # facility "log audit"
_NOTICE, _WARNING = 5, 4
_LOW, _HIGH = 3, 7  # severities of CEF, 0 to 10
_LONGEST: Final = 1023  # characters of one value; the dictionary's largest

_NAMES: Final = {
    INTENT: "A cell is about to run",
    RESULT: "A cell has run",
    "egress.allowed": "A connection was allowed",
    "egress.denied": "A connection was denied",
}


class Cef:
    """See the module."""

    suffix = ".cef"
    is_stream = True

    def write(self, view: RecordView, out: IO[bytes]) -> int:
        """Writes one line for each event."""
        version = product_version()
        count = 0
        for event in view.events():
            out.write(line(event, view.origin, version).encode() + b"\n")
            count += 1
        return count


def line(event: Event, origin: str, version: str) -> str:
    """Returns one event, without the line's end."""
    is_refusal = _is_refusal(event)
    priority = _AUDIT * 8 + (_WARNING if is_refusal else _NOTICE)
    header = "|".join(
        _header(part)
        for part in (
            VENDOR,
            NAME,
            version,
            event.type,
            _NAMES.get(event.type, event.type),
            str(_HIGH if is_refusal else _LOW),
        )
    )
    fields = " ".join(f"{key}={_value(value)}" for key, value in _fields(event))
    start = f"<{priority}>1 {event.time} {_name(origin, 255)} cloister - {_name(event.type, 32)} -"
    return f"{start} CEF:0|{header}|{fields}"


def _name(value: str, longest: int) -> str:
    """Returns a name as syslog has them: ASCII without spaces (RFC 5424 section 6)."""
    return "".join(c if "!" <= c <= "~" else "-" for c in value)[:longest] or "-"


def _fields(event: Event) -> Iterator[tuple[str, str]]:
    body = event.body
    yield "rt", str(event.time_us // 1000)
    yield "externalId", str(event.seq)
    found: dict[str, str | None] = {
        "suser": facts.text(body, "user"),
        "act": facts.text(body, "decision"),
        "outcome": facts.text(body, "status"),
        "reason": facts.text(body, "rule"),
        "dhost": facts.text(body, "host"),
        "dpt": _number(body, "port"),
        "out": _number(body, "bytes_out"),
        "in": _number(body, "bytes_in"),
        "filePath": facts.text(body, "notebook"),
    }
    yield from ((key, value) for key, value in found.items() if value is not None)
    labelled = {
        "leaf": event.leaf.hex(),
        "executionId": facts.text(body, "execution_id"),
        "kernelId": facts.text(body, "kernel_id"),
        "labels": ",".join(facts.texts(body, "labels")) or None,
        "reads": ",".join(filter(None, map(facts.read_name, facts.objects(body, "reads")))) or None,
        "attestedBy": facts.text(body, "attested_by"),
    }
    # CEF has six texts of one's own, each with its label.
    for i, (label, value) in enumerate(labelled.items(), 1):
        if value is not None:
            yield f"cs{i}Label", label
            yield f"cs{i}", value
    if event.type == RESULT:
        for i, (name, count) in enumerate(facts.counts(body).items(), 1):
            yield f"cn{i}Label", name
            yield f"cn{i}", str(count)


def _is_refusal(event: Event) -> bool:
    if event.type.endswith(("denied", "blocked", "refused")):
        return True
    return event.type == RESULT and facts.counts(event.body)["blocked"] > 0


def _number(body: dict[str, Any], name: str) -> str | None:
    found = facts.number(body, name)
    return None if found is None else str(found)


def _header(value: str) -> str:
    return facts.one_line(value).replace("\\", "\\\\").replace("|", "\\|")


def _value(value: str) -> str:
    shortened = facts.one_line(value)[:_LONGEST]
    return shortened.replace("\\", "\\\\").replace("=", "\\=")
