"""Displays: one thing in several forms, of which a client chooses one to show.

Each form is read as what its type says. A form that may not leave is taken out, and the others
stay; where nothing but plain text is left, that text says why.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, Final

from cloister.detect.markup import has_code, neutralise, shows_nothing
from cloister.sidecar.outgoing import pictures, pixels
from cloister.sidecar.outgoing.mimetypes import (
    Kind,
    kind_of,
    read_binary,
    reason_to_withhold,
    require_text,
)
from cloister.sidecar.outgoing.withheld import Reason, Withheld

if TYPE_CHECKING:
    from cloister.core.output import OutputRules
    from cloister.sidecar.outgoing.passage import Passage
    from cloister.sidecar.textguard import Tally, TextGuard

_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]{7,}")


def mask_display(
    data: dict[str, Any], guard: TextGuard, rules: OutputRules, passage: Passage
) -> dict[str, Any]:
    """Returns the forms that may leave, masked.

    Args:
        data: A display's forms by mime type.
        guard: Decides what is masked.
        rules: Which types leave.
        passage: Takes what is masked, what is made harmless, and why a form may not leave.
    """
    kept: dict[str, Any] = {}
    tally, reason = passage.tally, None
    for mime, value in data.items():
        kind = kind_of(mime, rules)
        if kind is None:
            reason = reason_to_withhold(mime)
            continue
        try:
            form, is_code_gone = _mask_form(kind, mime, value, guard, rules, tally)
            if is_code_gone and shows_nothing(mime, form):
                reason = reason_to_withhold("text/javascript")
                continue
            passage.is_neutralised |= is_code_gone
            kept[guard.mask(mime, tally)] = form
        except Withheld as withheld:
            reason = withheld.reason
    if reason is not None and not kept.keys() - {"text/plain"}:
        plain = kept.get("text/plain")
        kept["text/plain"] = f"{plain}\n{reason}" if plain else str(reason)
    passage.reason = reason
    return kept


def _mask_form(  # noqa: PLR0917 - the form, and what it is judged by
    kind: Kind, mime: str, value: object, guard: TextGuard, rules: OutputRules, tally: Tally
) -> tuple[Any, bool]:
    """Returns a form that may leave, and whether code was taken out of it."""
    if kind in {Kind.PICTURE, Kind.MEDIA}:
        data = read_binary(mime, value)
        cleaned = clean_binary(data, guard)
        return (value if cleaned is data else base64.b64encode(cleaned).decode()), False
    if kind is Kind.TEXT:
        value = require_text(value)
    is_code_gone = False
    if not rules.allows_scripts:
        neutral = neutralise(mime, value)
        value, is_code_gone = neutral.value, has_code(neutral)
    if kind is Kind.JSON:
        return guard.mask_json(value, tally), is_code_gone  # type: ignore[arg-type] # it came as JSON
    return _mask_text(str(value), guard, tally), is_code_gone


def _mask_text(text: str, guard: TextGuard, tally: Tally) -> str:
    """Masks a text around the pictures, sounds and films that it holds; those are cleaned."""
    if "base64," not in text:
        return guard.mask(text, tally)
    held: list[str] = []

    def take(match: re.Match[str]) -> str:
        held.append(_clean_embedded(match, guard))
        return f"\ue000{len(held) - 1}\ue001"

    def put(match: re.Match[str]) -> str:
        return held[int(match[1])] if int(match[1]) < len(held) else match[0]

    return _TAKEN.sub(put, guard.mask(_DATA_ADDRESS.sub(take, text), tally))


def clean_binary(data: bytes, guard: TextGuard) -> bytes:
    """Returns a picture, sound or document without notes; the same object when there were none.

    Raises:
        Withheld: It holds text that the policy masks, or cannot be read.
    """
    try:
        cleaned = pictures.clean(data)
        carried = pixels.carried_text(cleaned) if cleaned.startswith(_PIXELS) else ""
    except pictures.UnreadablePicture:
        raise Withheld(_BROKEN_PICTURE) from None
    runs = b"\n".join(_PRINTABLE.findall(cleaned)).decode("ascii")
    # An even surface looks like a number of one digit, so no pattern is asked about pixels.
    if guard.find(runs) or (carried and guard.find_known(carried)):
        raise Withheld(_TEXT_IN_BINARY)
    return cleaned


def _clean_embedded(match: re.Match[str], guard: TextGuard) -> str:
    """Returns an address that holds a picture, sound or film, without its notes."""
    try:
        data = base64.b64decode("".join(match[2].split()), validate=True)
    except (binascii.Error, ValueError):
        raise Withheld(_BROKEN_PICTURE) from None
    cleaned = clean_binary(data, guard)
    return match[0] if cleaned is data else match[1] + base64.b64encode(cleaned).decode()


_PIXELS: Final = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")
_DATA_ADDRESS: Final = re.compile(
    r"(data:(?:image|audio|video)/[a-z0-9.+-]{1,40}[^,\s<>]{0,80};base64,)([A-Za-z0-9+/=\s]+)"
)
_TAKEN: Final = re.compile("\ue000([0-9]{1,6})\ue001")
_BROKEN_PICTURE: Final = Reason(
    "CLO-OUTPUT-004",
    "A picture was withheld: it could not be taken apart, or holds more than a picture",
    "output",
    "Make it anew, for instance as a PNG.",
)
_TEXT_IN_BINARY: Final = Reason(
    "CLO-OUTPUT-004",
    "A picture, sound or document was withheld: it holds text that the policy masks",
    "display",
    "Save it without notes of its own, such as metadata.",
)
