"""The forms in which a case may write a value: plain, encoded, spelled out.

``encoded`` in the corpus names one of these. Those in :data:`ALWAYS` are looked for in every case;
the others are too short or too common for that, or are ciphers that only their own case can mean.
"""

from __future__ import annotations

import base64
import bz2
import codecs
import gzip
import lzma
import urllib.parse
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_encode = base64.b64encode
_DIGIT_WORDS: Final = tuple(
    "zero one two three four five six seven eight nine".split()  # noqa: SIM905 - quotes hide words
)


def _base64(data: bytes) -> str:
    return _encode(data).decode()


def _xored(value: str) -> str:
    return bytes(byte ^ 0x5A for byte in value.encode()).hex()


def _hex_number(value: str) -> str:
    digits = "".join(c for c in value if c.isdigit())
    return hex(int(digits)) if digits else value


def _digit_words(value: str) -> str:
    return " ".join(_DIGIT_WORDS[int(c)] for c in value if c.isdigit()) or value


ALWAYS: Final[dict[str, Callable[[str], str]]] = {
    "plain": str,
    "base64": lambda v: _base64(v.encode()),
    "base64_twice": lambda v: _base64(_encode(v.encode())),
    "base64_three_times": lambda v: _base64(_encode(_encode(v.encode()))),
    "base32": lambda v: base64.b32encode(v.encode()).decode(),
    "bzip2": lambda v: _base64(bz2.compress(v.encode())),
    "octal": lambda v: "".join(f"\\{c:03o}" for c in v.encode()),
    "quoted_printable": lambda v: "".join(f"={c:02X}" for c in v.encode()),
    "tags": lambda v: "".join(f"<b>{c}</b>" for c in v),
    "numbered": lambda v: repr(dict(enumerate(v))),
    "code_points": lambda v: repr([ord(c) for c in v]),
    "hex": lambda v: v.encode().hex(),
    "percent": lambda v: "".join(f"%{c:02X}" for c in v.encode()),
    "url": urllib.parse.quote,
    "entities": lambda v: "".join(f"&#{ord(c)};" for c in v),
    "hex_entities": lambda v: "".join(f"&#x{ord(c):x};" for c in v),
    "escapes": lambda v: "".join(f"\\u{ord(c):04x}" for c in v),
    "reversed": lambda v: v[::-1],
    "last_first": lambda v: "".join(reversed(v.split(" ", 1))),
    "gzip": lambda v: _base64(gzip.compress(v.encode(), mtime=0)),
    "zlib_hex": lambda v: zlib.compress(v.encode()).hex(),
    "xz": lambda v: _base64(lzma.compress(v.encode())),
    "base85": lambda v: base64.b85encode(v.encode()).decode(),
}

ON_DEMAND: Final[dict[str, Callable[[str], str]]] = {
    "cells": lambda v: v.split()[-1],
    "first_word": lambda v: v.split()[0],
    "last_four": lambda v: v[-4:],
    "rot13": lambda v: codecs.encode(v, "rot13"),
    "xor": _xored,
    "bits": lambda v: "".join(f"{c:08b}" for c in v.encode()),
    "integer": lambda v: str(int.from_bytes(v.encode(), "big")),
    "uuencode": lambda v: codecs.encode(v.encode(), "uu").decode(),
    "between_letters": "x".join,
    "drawn": str,  # letters drawn into a picture: any picture that is not blank may hold them
    "hex_number": _hex_number,
    "digit_words": _digit_words,
    "mail_words": lambda v: v.replace("@", " at ").replace(".", " dot "),
    "overwritten": lambda v: v[3:] + v[:3],  # the beginning is written over what stands before
    "backspaced": lambda v: f"{v[:6]}X{v[6:]}",
    "lengths": lambda v: "@".join("i" * ord(c) for c in v),
    "rhythm": lambda v: f"rhythm{ord(v[0]):08b}",
    "capitals_only": lambda v: "".join(c for c in v if c.isupper()),
}


def forms_of(value: str, encoded: str | None = None) -> list[str]:
    """Returns every form of a value that counts as the value.

    Args:
        value: A canary.
        encoded: The form that the case writes, when it is not one of those looked for always.
    """
    wanted = [*ALWAYS.values()]
    if encoded in ON_DEMAND:
        wanted.append(ON_DEMAND[encoded])
    return [form(value) for form in wanted]
