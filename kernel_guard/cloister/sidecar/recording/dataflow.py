"""Which earlier executions of a kernel an execution goes back to. Pure; one for each kernel.

An execution is a parent when it last set a name that this one uses, or wrote a file that this one
reads; an import brings no data, so it makes nobody a parent. What came in by the parents comes in
here, too: the sources of an execution are what it read itself and the sources of its parents, so
that a question about a figure needs no walk.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloister.sidecar.recording.names import Names

MOST_PARENTS: Final = 100
MOST_SOURCES: Final = 100
_MOST_NAMES: Final = 20_000
_MOST_FILES: Final = 20_000
_MOST_EXECUTIONS: Final = 20_000

_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Parent:
    """An earlier execution, and what came from it.

    Attributes:
        execution_id: Its id.
        names: Names that it set and this one uses.
        files: Files that it wrote and this one read.
    """

    execution_id: str
    names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """Where an execution stands.

    Attributes:
        parents: The executions that it goes back to directly, the oldest first.
        sources: Datasets and files that it goes back to, directly or not.
    """

    parents: tuple[Parent, ...] = ()
    sources: tuple[str, ...] = ()


class DataFlow:
    """The names and files of one kernel. Not for several threads at a time."""

    def __init__(self) -> None:
        self._setters: OrderedDict[str, str] = OrderedDict()
        self._writers: OrderedDict[str, str] = OrderedDict()
        self._within: dict[str, frozenset[str]] = {}
        self._ended: OrderedDict[str, tuple[int, tuple[str, ...]]] = OrderedDict()
        self._count = 0

    def ended(
        self,
        execution_id: str,
        names: Names | None,
        reads: Iterable[tuple[str, str]],
        writes: Iterable[str],
    ) -> Flow:
        """Takes an execution that has run, in the order in which they ran.

        Args:
            execution_id: Its id.
            names: What its code says; ``None`` where that cannot be read.
            reads: Path and name (that of the dataset, else the path) of each file that it read.
            writes: Paths that it wrote.
        """
        by_name: dict[str, list[str]] = {}
        by_file: dict[str, list[str]] = {}
        for name in self._needed(names):
            setter = self._setters.get(name)
            if setter is not None and setter != execution_id:
                by_name.setdefault(setter, []).append(name)
        own = []
        for path, source in reads:
            own.append(source)
            writer = self._writers.get(path)
            if writer is not None and writer != execution_id:
                by_file.setdefault(writer, []).append(path)
        found = [*dict.fromkeys([*by_name, *by_file])][:MOST_PARENTS]
        found.sort(key=lambda known: self._ended.get(known, _FORGOTTEN)[0])
        sources = dict.fromkeys(own)
        for parent in found:
            sources |= dict.fromkeys(self._ended.get(parent, _FORGOTTEN)[1])
        whole = tuple(sources)[:MOST_SOURCES]
        self._remember(execution_id, names, writes, whole)
        return Flow(
            tuple(
                Parent(known, tuple(by_name.get(known, ())), tuple(by_file.get(known, ())))
                for known in found
            ),
            whole,
        )

    def _needed(self, names: Names | None) -> list[str]:
        """Returns the names that a cell uses, those inside functions that it calls included."""
        needed = dict.fromkeys(names.used if names else ())
        waiting = list(needed)
        while waiting:
            for inner in self._within.get(waiting.pop(), ()):
                if inner not in needed:
                    needed[inner] = None
                    waiting.append(inner)
        return list(needed)

    def _remember(
        self,
        execution_id: str,
        names: Names | None,
        writes: Iterable[str],
        sources: tuple[str, ...],
    ) -> None:
        if names is not None:
            for name in names.removed:
                self._setters.pop(name, None)
                self._within.pop(name, None)
            for name in names.defined:
                self._within.pop(name, None)
                if name in names.imported:
                    self._setters.pop(name, None)
                else:
                    _put(self._setters, name, execution_id, _MOST_NAMES)
            self._within.update(names.within)
        for path in writes:
            _put(self._writers, path, execution_id, _MOST_FILES)
        self._count += 1
        _put(self._ended, execution_id, (self._count, sources), _MOST_EXECUTIONS)


_FORGOTTEN: Final[tuple[int, tuple[str, ...]]] = (0, ())


def _put(book: OrderedDict[str, _V], key: str, value: _V, most: int) -> None:
    book[key] = value
    book.move_to_end(key)
    if len(book) > most:
        book.popitem(last=False)
