"""Finds the payloads that are about a subject, from what the headers say.

What a subject reaches:

- ``execution``: every event of it.
- ``kernel``: every event that names the kernel, and every event of its executions.
- ``user``: every event that names the user, every event of those executions, and of the kernels
  that ran them: a kernel has one user.
- ``dataset``: every execution that read it, and everything that the same kernel ran afterwards,
  because what was read stays in its memory and may be printed by any later cell.

That is more than strictly about the subject, never less than the headers can tell. Whose rows a
payload shows no header tells; a person is looked for in the payloads themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cloister.core.retention import Subject, SubjectKind
from cloister.store.entry import index_key, parse_body
from cloister.store.lineage_reader import LineageReader
from cloister.store.mentions import name_of
from cloister.store.payloads import has_data_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from cloister.store.lineage_store import Rows

_AT_ONCE: Final = 400  # marks in one question
_PAGE: Final = 2_000
_EXPORTED: Final = "lineage.exported"


@dataclass(frozen=True, slots=True)
class Kept:
    """A payload that is there.

    Attributes:
        seq: Number of its event.
        time_us: When it was recorded.
        type: Type of its event.
        has_key: Whether destroying its data key destroys it; otherwise it is from before there
            were any, and is taken out of the database.
    """

    seq: int
    time_us: int
    type: str
    has_key: bool


class ErasureReader(LineageReader):
    """Reads a log for those who erase in it."""

    def kept(self) -> list[Kept]:
        """Returns all payloads that are there, in order.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        with self._reading() as rows:
            if rows is None:
                return []
            found = rows.stream(
                "SELECT e.seq, e.time_us, e.type, substr(e.payload, 1, 8) FROM event e"
                " LEFT JOIN erased x ON x.seq = e.seq"
                " WHERE e.payload IS NOT NULL AND x.seq IS NULL ORDER BY e.seq"
            )
            return [Kept(row[0], row[1], row[2], has_data_key(bytes(row[3]))) for row in found]

    def kinds_of(self, name: str) -> list[SubjectKind]:
        """Returns as what the record knows a bare name: user, dataset or kernel."""
        kinds = (SubjectKind.USER, SubjectKind.DATASET, SubjectKind.KERNEL)
        with self._reading() as rows:
            if rows is None:
                return []
            return [kind for kind in kinds if _mentioning(rows, kind, name, limit=1)]

    def reached(self, subject: Subject) -> set[int]:
        """Returns the numbers of all events that a subject reaches.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        with self._reading() as rows:
            if rows is None:
                return set()
            if subject.kind is SubjectKind.EXECUTION:
                return set(_of_executions(rows, {index_key(subject.name)}))
            if subject.kind is SubjectKind.KERNEL:
                return _of_kernel(rows, subject.name, 0)
            found = _mentioning(rows, subject.kind, subject.name)
            reached = {row[0] for row in found}
            executions = {row[1] for row in found if row[1] is not None}
            reached |= set(_of_executions(rows, executions))
            for kernel, first in _kernels(rows, found, subject.kind).items():
                reached |= _of_kernel(rows, kernel, first)
            return reached

    def holding(self, texts: Sequence[bytes], among: Collection[int]) -> set[int]:
        """Returns which payloads hold one of these texts; opens each of them to look.

        Args:
            texts: What to look for, as it would stand in a payload.
            among: Numbers of the events to look at.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        found: set[int] = set()
        after = -1
        last = max(among, default=-1)
        while after < last:
            entries = self.opened(after=after, limit=_PAGE)
            if not entries:
                break
            found |= {
                entry.seq
                for entry in entries
                if entry.seq in among and any(text in entry.payload for text in texts)
            }
            after = entries[-1].seq
        return found

    def exported_payloads(self) -> int:
        """Returns how many bundles with payloads were handed out."""
        with self._reading() as rows:
            if rows is None:
                return 0
            headers = rows.execute(
                "SELECT header FROM event WHERE type = :type", {"type": _EXPORTED}
            )
            return sum(bool(parse_body(row[0]).get("payloads")) for row in headers)


def _mentioning(
    rows: Rows, kind: SubjectKind, name: str, *, since: int = 0, limit: int = 2**31
) -> list[Any]:
    """Returns number, execution and header of each event that names a user, dataset or kernel."""
    key = "kernel_id" if kind is SubjectKind.KERNEL else kind.value
    return [
        *rows.execute(
            "SELECT e.seq, e.execution_id, e.header FROM mention m JOIN event e ON e.seq = m.seq"
            " WHERE m.name = :name AND m.seq >= :since ORDER BY m.seq LIMIT :limit",
            {"name": name_of(key, name), "since": since, "limit": limit},
        )
    ]


def _kernels(rows: Rows, found: list[Any], kind: SubjectKind) -> dict[str, int]:
    """Returns the kernels of events, each with the first event from which on it is reached."""
    kernels: dict[str, int] = {}
    for seq, execution, header in found:
        kernel = parse_body(header).get("kernel_id")
        if not isinstance(kernel, str):
            continue
        first = 0 if kind is SubjectKind.USER else seq
        if first and execution is not None:  # from the intent of the cell that read it
            first = min(_of_executions(rows, {execution}), default=seq)
        kernels[kernel] = min(first, kernels.get(kernel, first))
    return kernels


def _of_kernel(rows: Rows, kernel: str, since: int) -> set[int]:
    found = _mentioning(rows, SubjectKind.KERNEL, kernel, since=since)
    executions = {row[1] for row in found if row[1] is not None}
    return {row[0] for row in found} | set(_of_executions(rows, executions))


def _of_executions(rows: Rows, executions: Collection[str]) -> Iterator[int]:
    names = sorted(executions)
    for start in range(0, len(names), _AT_ONCE):
        some = {f"e{i}": name for i, name in enumerate(names[start : start + _AT_ONCE])}
        marks = ", ".join(f":{mark}" for mark in some)
        question = f"SELECT seq FROM event WHERE execution_id IN ({marks})"  # noqa: S608 - marks
        yield from (row[0] for row in rows.execute(question, some))
