"""Pieces of a text that say something when they are decoded: base64, hex, escapes, tags, lists.

``base64.b64encode(name)``, ``name[::-1]`` or ``list(name)`` in an output still is the name. Places
that look encoded are decoded into views, what is found there is reported at its place in the
original text. One pass of one automaton (RE2) decides whether a text holds any such place, so that
a text without pays for nothing else. What was decoded is looked at again, so that base64 of gzip
and percent-encoded base64 are read too.

Work is in proportion to the text: :data:`_FREE_CHARS` plus a few times its length are decoded, all
layers together. A piece that says more, such as a small stream that inflates without end, is
reported as not read, and the gate masks it whole.

Not read: encryption, substitution of letters, base85, other compressions, pictures, names in other
alphabets in base64, and what an author spreads over a text on purpose.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from cloister.detect import encodings, layouts, overwritten, spoken
from cloister.detect.views import Budget, Decoded, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Reader = Callable[[str, bytes, Any, Budget], Iterator[View]]

_SHORTEST_CHARS: Final = 5
_FREE_CHARS: Final = 1 << 18
_TIMES_CHARS: Final = 5
_LAYERS: Final = 3
_AUTOMATON_BYTES: Final = 64 << 20
_NOTHING = Decoded()


def decode(text: str) -> Decoded:
    """Returns what the encoded pieces of ``text`` say, those inside them included."""
    budget = Budget(_FREE_CHARS + _TIMES_CHARS * len(text))
    layer = list(_views(text, budget))
    if not layer:
        return _NOTHING
    views = list(layer)
    missing = next((view.missing for view in layer if view.missing is not None), None)
    for _ in range(_LAYERS - 1):
        layer = [
            nested.of(view)
            for view in layer
            if view.holds_more
            for nested in _views(view.text, budget)
        ]
        views += layer
    unread = sorted({(view.start, view.end) for view in views if not view.is_whole})
    return Decoded(tuple(views), tuple(unread), missing)


def _views(text: str, budget: Budget) -> Iterator[View]:
    if len(text) < _SHORTEST_CHARS:
        return
    # One byte for each character, so that offsets stay true.
    data = text.encode("ascii", "replace")
    hints, kinds = _kinds()
    for number in hints.Match(data) or ():
        pattern, read = kinds[number]
        for view in read(text, data, pattern, budget):
            if len(view.text) < _SHORTEST_CHARS and view.is_whole:
                continue
            if budget.pay(len(view.text)):
                yield view
            else:
                yield View("", view.start, view.end, is_whole=False)


@cache
def _kinds() -> tuple[Any, tuple[tuple[Any, Reader], ...]]:
    """Returns the automaton over all hints, and for each hint its pattern and what reads it."""
    import re2

    options = re2.Options()
    options.max_mem = _AUTOMATON_BYTES
    options.log_errors = False
    kinds: tuple[tuple[str, str, Reader], ...] = (
        (encodings.BASE64, encodings.BASE64_HINT, encodings.read_base64),
        (encodings.BASE32, encodings.BASE32, encodings.read_base32),
        (encodings.HEX, encodings.HEX, encodings.read_hex),
        (encodings.WIDE_BYTES, encodings.WIDE_BYTES, encodings.read_wide_bytes),
        (encodings.ESCAPES, encodings.ESCAPES_HINT, encodings.read_escapes),
        (layouts.MIRRORED, layouts.MIRRORED_HINT, layouts.read_mirrored),
        (layouts.SPACED, layouts.SPACED, layouts.read_spaced),
        (layouts.SPACED_WIDE, layouts.SPACED_WIDE, layouts.read_spaced),
        (layouts.LIST, layouts.LIST, layouts.read_list),
        (layouts.COLUMN, layouts.COLUMN, layouts.read_column),
        (layouts.ORDINALS, layouts.ORDINALS, layouts.read_ordinals),
        (layouts.GLUED, layouts.GLUED, layouts.read_glued),
        (layouts.MARKUP_HINT, layouts.MARKUP_HINT, layouts.read_markup),
        (layouts.RECORDS_HINT, layouts.RECORDS_HINT, layouts.read_records),
        (overwritten.OVERWRITTEN, overwritten.OVERWRITTEN, overwritten.read_overwritten),
        (spoken.DIGIT_WORDS, spoken.DIGIT_WORDS, spoken.read_digit_words),
        (spoken.BASED_NUMBER, spoken.BASED_NUMBER, spoken.read_based_numbers),
        (spoken.MAIL_WORDS, spoken.MAIL_WORDS, spoken.read_mail_words),
    )
    hints = re2.Set.SearchSet(options)
    for _pattern, hint, _read in kinds:
        hints.Add(hint)
    hints.Compile()
    return hints, tuple((re2.compile(pattern, options), read) for pattern, _hint, read in kinds)
