"""What events are about: an index of names beside the log, so that questions need no scan. Pure.

A *name* is what an event says under ``kernel_id``, ``user`` or ``dataset``, or under one of
:data:`TOPICS`. It is found in the canonical bytes, the same for whoever writes the index and
whoever checks it. A cell's kernel and user are indexed with its intent, what it read with its
result; other events with all of them. The index holds the first 64 bits of each name's SHA-256 with
the number of the event. It is no part of the tree, so verification rebuilds it and compares: a row
that was taken out hides nothing for long. Tables before version 4 have no topics in it.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, TypeAlias

from cloister.core.records import canonical_bytes
from cloister.store.executions import INTENT, RESULT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# In canonical JSON the first quote of `"user":"` can only open a key: a quote inside a text is
# escaped, and one that closed a text would be followed by a comma, a colon or a bracket.
_KERNEL: Final = b'"kernel_id":"'
_USER: Final = b'"user":"'
_READS: Final = b'"reads":['
_DATASET: Final = b'"dataset":"'
TOPICS: Final = ("column", "host", "notebook", "path", "source", "subject", "written")
"""Further keys, wherever in an event they stand; and ``sha256`` of files and of pictures.

Few, because each costs an append and a verification: what few events have in common with others is
found through their kernel or notebook.
"""

_INDEX_SINCE: Final = 2
_TOPICS_SINCE: Final = 4
MOST_TOPICS: Final = 300
"""Names under them that are indexed of one event, the first ones: a wide table has thousands."""

# Keys are sorted, so in a form of an output the digest stands before the media type.
_TOPIC: Final = re.compile(
    rb'"(?:%s)":"[^"\\]*|"sha256":"[0-9a-f]{64}(?!","type":"(?!image/))' % "|".join(TOPICS).encode()
)
_NOTEBOOK: Final = b'"notebook":"'
_REST_OF_TEXT: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_MOST_KNOWN: Final = 65_536


def name_of(key: str, value: str) -> int:
    """Returns the number that stands for a name.

    Args:
        key: ``kernel_id``, ``user``, ``dataset``, ``sha256``, or one of :data:`TOPICS`.
        value: What the events say, for instance a kernel's id.
    """
    return _digest(f'"{key}":"'.encode() + canonical_bytes(value)[1:-1])


def names_in(kind: str, content: bytes) -> list[int]:
    """Returns the names of an event, topics included, each once.

    Args:
        kind: Its type.
        content: The canonical bytes of its body, or of the header around it.
    """
    return [*first_names_in(kind, content), *_topics_in(kind, content)]


def _topics_in(kind: str, content: bytes) -> list[int]:
    # What a header says around the body is looked at as well: no key of it is a topic.
    if kind == INTENT:
        at = content.rfind(_NOTEBOOK)
        return [] if at < 0 else [_name_at(content, at, at + len(_NOTEBOOK))]
    if b"\\" in content:
        return _escaped_topics_in(content)
    marks = dict.fromkeys(_TOPIC.findall(content))
    names = [_known.get(mark) or _remember(mark) for mark in marks]
    return names[:MOST_TOPICS] if len(names) > MOST_TOPICS else names


def _escaped_topics_in(content: bytes) -> list[int]:
    """Finds the same where a name holds a quote or a backslash, which is slower."""
    found: dict[int, None] = {}
    for mark in _TOPIC.finditer(content):
        start = mark.start()
        found[_name_at(content, start, content.index(b'":"', start) + 3)] = None
    return list(found)[:MOST_TOPICS]


def first_names_in(kind: str, content: bytes) -> list[int]:
    """Returns the names of an event that tables before version 4 have in their index."""
    names = []
    if kind != RESULT:
        # Keys are sorted: a kernel stands before the facts of an event, a user after them.
        at = content.find(_KERNEL)
        if at >= 0:
            names.append(_name_at(content, at, at + len(_KERNEL)))
        at = content.rfind(_USER)
        if at >= 0:
            names.append(_name_at(content, at, at + len(_USER)))
    if kind != INTENT:
        # A result names datasets in its list of reads only, which is near its end.
        start = content.rfind(_READS) if kind == RESULT else 0
        at = content.find(_DATASET, start) if start >= 0 else -1
        while at >= 0:
            name = _name_at(content, at, at + len(_DATASET))
            if name not in names:
                names.append(name)
            at = content.find(_DATASET, at + 1)
    return names


_known: dict[bytes, int] = {}


def _name_at(content: bytes, at: int, start: int) -> int:
    """Returns the name whose mark begins at a place and whose text begins at another."""
    said = content[at : content.find(b'"', start)]
    name = _known.get(said)
    if name is None:
        if said[-1:] == b"\\":  # the quote was escaped; such a text is read in whole, and not kept
            text = _REST_OF_TEXT.match(content, start)
            return _digest(content[at:start] + (text[0] if text else b""))
        name = _remember(said)
    return name


def _remember(said: bytes) -> int:
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    name = _known[said] = _digest(said)
    return name


def _digest(said: bytes) -> int:
    # Signed, because that is the integer both databases have.
    return int.from_bytes(hashlib.sha256(said).digest()[:8], "big", signed=True)


NamesIn: TypeAlias = "Callable[[str, bytes], list[int]]"


def indexed_by(version: int) -> NamesIn | None:
    """Returns what the index holds in tables of a version; ``None`` where there is no index.

    Tables of an older version are verified as they are, until a writer brings them up to date.
    """
    if version < _INDEX_SINCE:
        return None
    return names_in if version >= _TOPICS_SINCE else first_names_in


class MentionCheck:
    """Compares what the events say with what the index holds.

    Numbers are kept by name, eight bytes each; both sides come in the order of the numbers.

    Args:
        found_by: Finds what the index holds of an event; ``None`` where there is no index.
    """

    def __init__(self, found_by: NamesIn | None) -> None:
        self._found_by = found_by
        self._wanted: dict[int, array[int]] = {}

    def take(self, seq: int, kind: str, header: bytes) -> None:
        """Adds what an event says."""
        for name in () if self._found_by is None else self._found_by(kind, header):
            numbers = self._wanted.get(name)
            if numbers is None:
                numbers = self._wanted[name] = array("q")
            numbers.append(seq)

    def wanted(self) -> Iterable[tuple[int, array[int]]]:
        """Returns what was added, for another process."""
        return self._wanted.items()

    def add(self, name: int, numbers: array[int]) -> None:
        """Adds what another process found for later events."""
        self._wanted.setdefault(name, array("q")).extend(numbers)

    def is_equal(self, rows: Iterable[tuple[int, int]]) -> bool:
        """Returns whether the index holds what was wanted, and nothing else.

        Args:
            rows: Names and numbers of events, sorted.
        """
        try:
            for name, group in groupby(rows, itemgetter(0)):
                if self._wanted.pop(name, None) != array("q", [row[1] for row in group]):
                    return False
        except (TypeError, OverflowError):
            return False  # a value of another type
        return not self._wanted
