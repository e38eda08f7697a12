"""Which kinds of data a client may be sent, and whether data is what its type says.

A type that nobody here knows stays: nobody has thought about what a client does with it. So does
data that its type cannot be read as, because a check that could not read it has not checked it.
"""

from __future__ import annotations

import base64
import binascii
import re
from enum import Enum
from typing import TYPE_CHECKING, Final

from cloister.detect.markup import is_script_type
from cloister.sidecar.outgoing.withheld import Reason, Withheld

if TYPE_CHECKING:
    from cloister.core.output import OutputRules


class Kind(Enum):
    """How data of a mime type is read."""

    TEXT = "text"
    JSON = "JSON"
    PICTURE = "a picture"
    MEDIA = "sound or film"
    SCRIPT = "a script"


_TEXT: Final = frozenset(
    {"text/plain", "text/html", "text/markdown", "text/latex", "text/csv", "text/x-python"}
    | {"image/svg+xml", "application/xml", "application/x-latex", "application/mathml+xml"}
    | {"application/vnd.code.notebook.stdout", "application/vnd.code.notebook.stderr"}
)
_JSON: Final = re.compile(
    r"application/(?:json|geo\+json|vnd\.(?:jupyter\.widget-(?:view|state)|plotly\.v\d+"
    r"|vega(?:lite)?\.v\d+|dataresource|code\.notebook\.error)\+json)"
    r"|application/vnd\.vega(?:lite)?\.v\d+\.json"
)
#: How base64 of these begins: a type is told by its bytes, not by its name.
_MAGIC: Final[dict[str, tuple[bytes, ...]]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
    "image/bmp": (b"BM",),
    "audio/wav": (b"RIFF",),
    "audio/x-wav": (b"RIFF",),
    "audio/mpeg": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
    "audio/ogg": (b"OggS",),
    "audio/flac": (b"fLaC",),
    "video/mp4": (b"\x00\x00\x00",),
    "video/webm": (b"\x1a\x45\xdf\xa3",),
    "video/ogg": (b"OggS",),
}
_LIST_IT: Final = "An admin can list the type under output.mime_types"


def kind_of(mime: str, rules: OutputRules) -> Kind | None:
    """Returns how data of a type is read, ``None`` for a type that may not leave."""
    base = mime.partition(";")[0].strip().lower()
    if base in _TEXT:
        return Kind.TEXT
    if base in _MAGIC:
        return Kind.PICTURE if base.startswith("image/") else Kind.MEDIA
    if _JSON.fullmatch(base):
        return Kind.JSON
    if is_script_type(base):
        return Kind.SCRIPT if rules.allows_scripts else None
    if mime in rules.mime_types or base in rules.mime_types:
        return Kind.JSON
    return None


def reason_to_withhold(mime: str) -> Reason:
    """Returns why a type that may not leave stays."""
    if is_script_type(mime):
        return Reason(
            "CLO-OUTPUT-009",
            "A script, frame or form was withheld: it would act in the browser, outside all walls",
            "output.scripts",
            "Show a table or a picture, or a chart as Vega or Plotly data.",
        )
    return Reason(
        "CLO-OUTPUT-003",
        "Data of a type that Cloister does not know was withheld",
        "output.mime_types",
        f"Show it in another form. {_LIST_IT}.",
    )


def read_binary(mime: str, value: object) -> bytes:
    """Returns the bytes of a picture, sound or film.

    Raises:
        Withheld: It is no base64, or no such thing.
    """
    base = mime.partition(";")[0].strip().lower()
    try:
        if not isinstance(value, str):
            raise _unreadable()
        data = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable() from None
    if not data.startswith(_MAGIC[base]):
        raise _unreadable()
    return data


def require_text(value: object) -> str:
    """Returns the text that text data is, joined where a client has split it into lines.

    Raises:
        Withheld: It is none.
    """
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    if not isinstance(value, str):
        raise _unreadable()
    return value


def _unreadable() -> Withheld:
    return Withheld(
        Reason(
            "CLO-OUTPUT-004",
            "Data that is not what its type says was withheld: it could not be checked",
            "output",
            "Show it in another form.",
        )
    )
