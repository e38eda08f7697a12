"""What the rest of the sidecar needs to know of an output once it is checked: facts, no content.

The facts are taken where the output was checked, so that nobody has to read a large one again.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cloister.core.outputdigest import ERROR, form_digests
from cloister.core.outputdigest import error_digest as digest_of_error
from cloister.core.volume import Amount
from cloister.detect.pseudonyms import pseudonym
from cloister.sidecar.amounts import amount_of, carries

if TYPE_CHECKING:
    from cloister.sidecar.wire import Message

#: The outputs of an execution are recorded as they were shown, up to this many bytes.
MOST_RECORDED_BYTES: Final = 200_000
#: Rows and cells are counted for the record up to this size; beyond it only where a rule needs it.
MOST_COUNTED_BYTES: Final = 64 * 1024
#: Values of an output that the record can be asked about by their pseudonyms; each costs a row of
#: the index.
MOST_SUBJECTS: Final = 50
_TOKEN_TYPE: Final = re.compile(rb"([A-Z][A-Z0-9_]{1,40})~(?:~[a-z2-7]{52,154}|[a-z2-7]{10})")
_PICTURES: Final = ("image/", "audio/", "video/")
_DISPLAYED: Final = frozenset({"display_data", "update_display_data", "execute_result"})
_NOTHING: Final = Amount()


@dataclass(frozen=True, slots=True)
class Outline:
    """Facts about one output as it leaves.

    Attributes:
        kind: Its message type.
        size: Bytes that count for the limits.
        digest: SHA-256 of its type and content.
        stand_ins: Types of the tokens in it.
        amount: What it shows.
        has_picture: Whether one of its forms is a picture, sound or film.
        carries: Whether a kernel has a choice of what is in it.
        content: Its content as JSON where it is short enough to be recorded, else empty.
        forms: Media types and digests of what a client shows of it; of a stream, which is digested
            as a whole, none.
        display: What its display id is known by, or empty.
        subjects: Pseudonyms of the values that were masked in it, up to :data:`MOST_SUBJECTS`.
    """

    kind: str
    size: int
    digest: str
    stand_ins: tuple[str, ...] = ()
    amount: Amount = _NOTHING
    has_picture: bool = False
    carries: bool = True
    content: bytes = b""
    forms: tuple[tuple[str, str], ...] = ()
    display: str = ""
    subjects: tuple[str, ...] = ()


def outline(message: Message, size: int, *, is_counted: bool = True) -> Outline:
    """Returns the facts about a checked message.

    Args:
        message: As it leaves, with its content parsed.
        size: Bytes that count for the limits.
        is_counted: Whether rows and cells are needed whatever the size; that costs a look at all
            of it.
    """
    kind, (_, content) = message.msg_type, message.pack()
    text = b'{"type":"%s","content":%s}' % (kind.encode("ascii", "replace"), content)
    tokens = {m[0]: m[1] for m in _TOKEN_TYPE.finditer(content)} if b"~" in content else {}
    return Outline(
        kind,
        size,
        hashlib.sha256(text).hexdigest(),
        tuple(sorted({entity_type.decode() for entity_type in tokens.values()})),
        amount_of(kind, message.content, size)
        if is_counted or size <= MOST_COUNTED_BYTES
        else Amount(bytes=size),
        _has_picture(message.content),
        carries(kind, message.content),
        content if len(content) <= MOST_RECORDED_BYTES else b"",
        _forms(kind, message.content),
        _display(message.content),
        tuple(pseudonym(token.decode()) for token in [*tokens][:MOST_SUBJECTS]),
    )


def _forms(kind: str, content: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    if kind == "error":
        return ((ERROR, digest_of_error(content)),)
    return tuple(form_digests(content.get("data")).items()) if kind in _DISPLAYED else ()


def _display(content: dict[str, Any]) -> str:
    """Returns what a display id is known by: a kernel chooses it, so it may be a value."""
    transient = content.get("transient")
    name = transient.get("display_id") if isinstance(transient, dict) else None
    if not isinstance(name, str) or not name:
        return ""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _has_picture(content: dict[str, Any]) -> bool:
    forms = content.get("data")
    return isinstance(forms, dict) and any(str(mime).startswith(_PICTURES) for mime in forms)
