"""Classifies and masks more than one machine wants to: parts of a dataset, each where a worker is.

What travels is the *name* of a part, never its rows: a worker opens its part itself and writes the
masked copy itself, so no raw row enters the engine's object store, which may spill to a disk. A
worker's view of what it saw comes back sealed with the workspace's key, because it may hold values.
No key travels: a :class:`Job` says where to find the workspace, and each worker opens it there.

The engine is a seam (:data:`Engine`): :func:`in_this_process` is the plain one, and
:mod:`cloister.detect.rayengine` is Ray. Workers see the files under the same paths.
"""

from __future__ import annotations

import json
import os
import pickle  # noqa: TID251 - only what the workspace's key has sealed is ever opened
import shutil
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from cloister.core.errors import CloisterError, error_from_dict
from cloister.detect.streaming import Classification, mask_table_file
from cloister.detect.tablefile import format_of, is_table_file, open_table
from cloister.detect.tablewriter import open_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cloister.detect.finding import ColumnFinding
    from cloister.detect.fullscan import TableClassifier
    from cloister.detect.streaming import Masking, Progress

PART_BYTES: Final = 64 << 20
_NONCE_BYTES: Final = 12


class ClusterError(CloisterError):
    """Parts that are no one table, or a worker that could not do its part."""

    default_code = "CLO-CLUSTER-001"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a dataset that one worker takes at a time.

    Attributes:
        path: Its file, absolute, the same for all workers.
        target: Name of its masked copy below the output directory.
        row_groups: Which of a Parquet file; empty for the whole of a file.
        size: Bytes, about.
    """

    path: str
    target: str
    row_groups: tuple[int, ...]
    size: int


class Job(Protocol):
    """What a worker needs and must not be sent: it finds the workspace where it is.

    A job travels to every worker, so it holds names and paths and no key.
    """

    def classifier(self, names: Sequence[str]) -> TableClassifier:
        """Returns a classifier of the workspace's policy and catalogue."""

    def masking(self, findings: Sequence[ColumnFinding]) -> Masking:
        """Returns what masks rows with the workspace's tokens."""

    def sealing_key(self) -> bytes:
        """Returns the key, 32 bytes, that seals what workers have seen."""


Work: TypeAlias = "Callable[[Part], bytes]"
Engine: TypeAlias = "Callable[[Work, Sequence[Part]], Iterable[bytes]]"
"""Calls the work for each part, in any order and place, and yields the results in any order."""


def in_this_process(work: Work, parts: Sequence[Part]) -> Iterator[bytes]:
    """The engine that needs no cluster: one part after the other."""
    return map(work, parts)


def parts_of(paths: Sequence[Path], root: Path, *, part_bytes: int = PART_BYTES) -> list[Part]:
    """Returns the pieces of a dataset, in order.

    Parquet is cut between row groups. Of the other formats a file is one piece: only who reads CSV
    from its beginning knows where a row ends.

    Args:
        paths: The table files.
        root: The directory that names are kept below.
        part_bytes: Bytes of a piece, about.

    Raises:
        UnreadableFile: A Parquet file is none.
    """
    parts: list[Part] = []
    for path in paths:
        name = path.relative_to(root)
        suffix, codec = format_of(path)
        if codec is not None:
            name = name.with_suffix("")  # masked copies are not compressed
        whole = Part(str(path.absolute()), str(name), (), path.stat().st_size)
        if suffix != ".parquet":
            parts.append(whole)
            continue
        pieces = list(_row_groups(path, part_bytes))
        if len(pieces) < 2:
            parts.append(whole)
            continue
        for number, (groups, size) in enumerate(pieces):
            target = str(name.with_name(f"{name.stem}-{number:05d}.parquet"))
            parts.append(replace(whole, target=target, row_groups=groups, size=size))
    return parts


def table_files(root: Path) -> list[Path]:
    """Returns the table files below a directory, sorted; hidden ones are not data."""
    return sorted(
        path
        for path in root.rglob("*")
        if path.is_file()
        and is_table_file(path)
        and not any(name.startswith((".", "_")) for name in path.relative_to(root).parts)
    )


def classify_parts(
    parts: Sequence[Part], job: Job, engine: Engine = in_this_process, *, progress: Progress
) -> Classification:
    """Returns what all parts together hold.

    Raises:
        ClusterError: The parts have different columns (``CLO-CLUSTER-001``), or a worker failed
            (``-002``).
        CloisterError: A worker cannot read its part, or has no workspace.
    """
    key = job.sealing_key()
    total = sum(part.size for part in parts)
    seen: TableClassifier | None = None
    columns: list[str] | None = None
    rows = done = 0
    for result in engine(partial(_guarded, partial(_classify_part, job)), parts):
        answer = _answer(result)
        if columns is None:
            columns = answer["columns"]
        elif columns != answer["columns"]:
            raise ClusterError(
                "The files have different columns, so they are no one table.",
                remedy="Classify and mask files of different columns by themselves.",
            )
        # Sealed by a worker that holds the workspace's key; nobody else can have made it.
        opened = _unseal(key, bytes.fromhex(answer["seen"]))
        classifier = pickle.loads(opened)  # noqa: S301 - see above
        if seen is None:
            seen = classifier
        else:
            seen.merge(classifier)
        rows += answer["rows"]
        done += answer["size"]
        progress(done, total)
    return Classification(tuple(seen.findings()) if seen is not None else (), rows)


def mask_parts(
    parts: Sequence[Part],
    target: Path,
    findings: Sequence[ColumnFinding],
    job: Job,
    engine: Engine = in_this_process,
    *,
    progress: Progress,
) -> int:
    """Writes masked copies of all parts below a new directory; returns how many rows.

    The directory appears when all parts are in it.

    Raises:
        ClusterError: The directory exists (``CLO-CLUSTER-003``), or a worker failed (``-002``).
        CloisterError: A worker cannot read its part or write its copy.
    """
    if target.exists():
        raise ClusterError(
            f"{target} exists already.",
            code="CLO-CLUSTER-003",
            remedy="Name a directory that does not exist yet.",
        )
    beside = target.with_name(f".{target.name}.{os.getpid()}.part").absolute()
    total = sum(part.size for part in parts)
    rows = done = 0
    try:
        for folder in {(beside / part.target).parent for part in parts} | {beside}:
            folder.mkdir(parents=True, exist_ok=True)
        work = partial(_mask_part, job, tuple(findings), str(beside))
        for result in engine(partial(_guarded, work), parts):
            answer = _answer(result)
            rows += answer["rows"]
            done += answer["size"]
            progress(done, total)
        beside.rename(target)
    except OSError as error:
        raise CloisterError(
            f"{target} cannot be written ({os.strerror(error.errno or 0)}).",
            code="CLO-INPUT-008",
            remedy="Choose a directory that this account can write, with space left.",
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return rows


def _classify_part(job: Job, part: Part) -> dict[str, Any]:
    with open_table(Path(part.path), row_groups=part.row_groups) as reader:
        classifier = job.classifier(reader.schema.names)
        rows = 0
        for batch in reader.batches:
            classifier.update(batch)
            rows += batch.num_rows
        seen = _seal(job.sealing_key(), pickle.dumps(classifier))
        return {
            "columns": reader.schema.names,
            "rows": rows,
            "size": part.size,
            "seen": seen.hex(),
        }


def _mask_part(
    job: Job, findings: tuple[ColumnFinding, ...], directory: str, part: Part
) -> dict[str, Any]:
    masking = job.masking(findings)
    target = Path(directory, part.target)
    with open_table(Path(part.path), row_groups=part.row_groups) as reader:
        rows = mask_table_file(reader, partial(open_writer, target), masking)
    return {"rows": rows, "size": part.size}


def _guarded(work: Callable[[Part], dict[str, Any]], part: Part) -> bytes:
    """Does a part; what goes wrong becomes an answer, so that no engine logs a traceback."""
    try:
        answer = work(part)
    except CloisterError as error:
        answer = {"error": error.as_dict()}
    except Exception as error:  # noqa: BLE001 - the text of an unknown error may hold data
        answer = {"failed": type(error).__name__}
    return json.dumps(answer).encode()


def _answer(result: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(result)
    if "error" in answer:
        raise error_from_dict(answer["error"])
    if "failed" in answer:
        raise ClusterError(
            f"A worker could not do its part ({answer['failed']}).",
            code="CLO-CLUSTER-002",
            remedy="Check that every worker has the same version of cloister.",
        )
    return answer


def _row_groups(path: Path, part_bytes: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yields runs of row groups of about ``part_bytes``, with their bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        yield (), path.stat().st_size  # whoever opens it says what is wrong
        return
    groups: list[int] = []
    size = 0
    for number in range(metadata.num_row_groups):
        groups.append(number)
        size += metadata.row_group(number).total_byte_size
        if size >= part_bytes:
            yield tuple(groups), size
            groups, size = [], 0
    if groups:
        yield tuple(groups), size


def _seal(key: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, b"cloister-cluster")


def _unseal(key: bytes, sealed: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(
            sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], b"cloister-cluster"
        )
    except InvalidTag:
        raise ClusterError(
            "A worker answered under another workspace's key.",
            code="CLO-CLUSTER-002",
            remedy="Let every worker reach the same CLOISTER_HOME.",
        ) from None


def part_as_dict(part: Part) -> dict[str, Any]:
    """Returns a part as JSON, for an engine that sends it."""
    return asdict(part)


def part_from_dict(item: dict[str, Any]) -> Part:
    """Returns the part that :func:`part_as_dict` was given."""
    return Part(item["path"], item["target"], tuple(item["row_groups"]), item["size"])
