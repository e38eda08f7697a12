"""Values that a request cuts over several of its texts.

A conversation is read as one text by the model: half a number in one message and half in the next
is a number. So the texts of a request are also read one after the other, as they follow each
other in the document, with nothing and with a space between them; long ones by their ends only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cloister.detect.spans import Span
    from cloister.sidecar.leaves import Place

_END_CHARS: Final = 60
_LABELS: Final = frozenset({"role", "type", "model", "object", "format", "media_type"})


class _Piece(NamedTuple):
    place: Place
    offset: int
    text: str


def parts_over_seams(
    document: object,
    find: Callable[[str], list[Span]],
    is_opaque: Callable[[str], bool] = lambda _text: False,
) -> dict[Place, list[tuple[int, int, str]]]:
    """Returns the parts of texts that belong to values which go on in the next text.

    Args:
        document: Parsed JSON that lives while the result is used.
        find: Finds values in a text.
        is_opaque: Which texts are not read.

    Returns:
        For each text with such parts their start, end and entity type, in order.
    """
    runs = _runs((p, t) for p, t in _texts(document) if not is_opaque(t))
    found: dict[Place, list[tuple[int, int, str]]] = {}
    for run in runs:
        if len(run) < 2:
            continue
        for joint in ("", " "):
            text = joint.join(piece.text for piece in run)
            starts, at = [], 0
            for piece in run:
                starts.append(at)
                at += len(piece.text) + len(joint)
            for span in find(text):
                _share(span, run, starts, found)
    return {place: _apart(parts) for place, parts in found.items()}


def _share(
    span: Span,
    run: list[_Piece],
    starts: list[int],
    found: dict[Place, list[tuple[int, int, str]]],
) -> None:
    parts = []
    for piece, start in zip(run, starts, strict=True):
        first = max(span.start, start) - start
        last = min(span.end, start + len(piece.text)) - start
        if first < last:
            parts.append((piece, first + piece.offset, last + piece.offset))
    if len({piece.place for piece, *_ in parts}) > 1:
        for piece, first, last in parts:
            found.setdefault(piece.place, []).append((first, last, span.entity_type))


def _apart(parts: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    kept: list[tuple[int, int, str]] = []
    for start, end, entity_type in sorted(parts):
        if kept and start < kept[-1][1]:
            kept[-1] = (kept[-1][0], max(end, kept[-1][1]), kept[-1][2])
        else:
            kept.append((start, end, entity_type))
    return kept


def _runs(texts: Iterable[tuple[Place, str]]) -> list[list[_Piece]]:
    """Returns what follows each other; a long text ends one run and begins the next."""
    runs: list[list[_Piece]] = [[]]
    for place, text in texts:
        if len(text) <= 2 * _END_CHARS:
            runs[-1].append(_Piece(place, 0, text))
            continue
        runs[-1].append(_Piece(place, 0, text[:_END_CHARS]))
        runs.append([_Piece(place, len(text) - _END_CHARS, text[-_END_CHARS:])])
    return runs


def _texts(value: Any) -> Iterator[tuple[Place, str]]:
    """Yields the members that are texts. Strings of a list are a column or a batch, not a text."""
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(item, str):
                yield from _texts(item)
            elif item and name not in _LABELS:
                yield (id(value), name), item
