"""Who an output is about, without saying who: pseudonyms of the stand-ins in it.

A stand-in is a keyed digest of a value (:mod:`.tokens`), the same wherever the value was masked. A
pseudonym is the beginning of the stand-in's SHA-256, so the record lists neither values nor what
stood in an output, and whoever has the workspace's keys can ask for a value.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloister.detect.tokens import Tokenizer

_HEX_DIGITS: Final = 16


def pseudonym(token: str) -> str:
    """Returns the pseudonym of a stand-in."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:_HEX_DIGITS]


def pseudonyms_of(value: str, tokenizer: Tokenizer, entity_types: Iterable[str]) -> tuple[str, ...]:
    """Returns the pseudonyms under which a value may be in the record.

    Args:
        value: As people write it.
        tokenizer: With the workspace's keys.
        entity_types: What it may have been taken for.
    """
    found: dict[str, None] = {}
    for entity_type in entity_types:
        for tokens in (tokenizer.tokens, tokenizer.reversible_tokens):
            found[pseudonym(tokens(entity_type, [value.strip()])[0])] = None
    return tuple(found)
