"""Scans data files outside the kernel: column labels, and keyed digests of sensitive values.

What the scan finds feeds the exact-match index of the gate, so that a name that no pattern knows is
recognised in any output. Results are cached in ``CLOISTER_HOME`` by path, size, modification time
and policy; a cache holds labels and keyed digests, never values. Sidecars share it: of several that
need a file at once one reads it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import threading
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from cloister.core.errors import CloisterError
from cloister.core.policy import Treatment

if TYPE_CHECKING:
    from pathlib import Path

    from cloister.core.policy import Policy
    from cloister.detect.cleared import ClearedFile, ClearedValues
    from cloister.detect.exact import ExactIndex
    from cloister.detect.files import Search
    from cloister.detect.finding import ColumnFinding
    from cloister.store.catalog import Catalog, Dataset
    from cloister.store.home import Home

logger = logging.getLogger(__name__)


class ScanRefused(CloisterError):
    """A file that a kernel may not have scanned, or that cannot be read as data."""

    default_code = "CLO-SCAN-001"


@dataclass(frozen=True, slots=True)
class ColumnLabel:
    """The label of one column of a file, in the shape that the broker answers.

    Attributes:
        level: Its level.
        entity_type: Presidio's name for what it holds.
        source: Where that was learned, for people.
        final: Whether detection may not raise it, because the owner of the data lowered it.
    """

    level: str
    entity_type: str | None
    source: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Scan:
    """What a file holds: its catalogue name if it has one, and labels by column."""

    dataset: str | None
    labels: dict[str, ColumnLabel]


class Scanner:
    """Scans files and keeps the live index of one sidecar, or the stored one of the catalogue.

    Args:
        home: Where caches live.
        index_key: Key of the digests.
        policy: Returns the policy in force.
        catalog: Names datasets and their declared labels.
        index: The live index that scanned values are added to.
        cleared: The live set of values whose columns an owner has lowered.
        workspace: Where the kernel can write, so that a file may not be what its owner has seen.
        thorough: Finds values in prose, however long it takes. With it every value of a file is
            looked at, and what is cached is made again.
    """

    def __init__(
        self,
        home: Home,
        index_key: bytes,
        policy: Policy,
        catalog: Catalog,
        index: ExactIndex,
        *,
        cleared: ClearedValues | None = None,
        workspace: Path | None = None,
        thorough: Search | None = None,
    ) -> None:
        self.policy = policy
        self.index = index
        self._cleared = cleared
        self._workspace = workspace
        self._thorough = thorough
        self._scanned: dict[Path, str] = {}
        self._catalog_stamp = _stamp(home.catalog_path)
        self._home = home
        self._key = index_key
        self._catalog = catalog
        self._done: dict[str, Scan] = {}
        self._lock = threading.Lock()

    def scan(self, path: Path) -> Scan:
        """Returns the labels of a file once its sensitive values are in the live index.

        Args:
            path: Absolute; the caller has checked that the kernel may read it.

        Raises:
            CloisterError: It is no data file, or it cannot be read.
        """
        real = path.resolve()
        stat = real.stat()
        dataset = self._dataset_of(real)
        declared = json.dumps(dataset.labels if dataset else {}, sort_keys=True, default=str)
        name = dataset.name if dataset else None
        identity = (
            f"{real}|{stat.st_size}|{stat.st_mtime_ns}|{self.policy.digest}|{declared}|{name}"
        )
        cache_id = hashlib.blake2b(
            identity.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16
        ).hexdigest()
        with self._lock:
            if cache_id not in self._done or self._scanned.get(real) != cache_id:
                found = None if self._thorough else self._from_cache(real, cache_id)
                found = found or self._read_once(real, cache_id)
                self._done[cache_id] = found
                self._scanned[real] = cache_id
            return self._done[cache_id]

    def is_behind(self) -> bool:
        """Returns whether the catalogue has changed since it was followed; costs one ``stat``."""
        return _stamp(self._home.catalog_path) != self._catalog_stamp

    def follow_catalog(self) -> None:
        """Scans again what was scanned, after somebody declared something else about it.

        Costs one ``stat`` while the catalogue is unchanged.

        Raises:
            CloisterError: The catalogue cannot be read any more, or a catalogued file: nothing may
                run until it is repaired.
        """
        stamp = _stamp(self._home.catalog_path)
        if stamp == self._catalog_stamp:
            return
        for path in tuple(self._scanned):
            if path.is_file():
                self.scan(path)
        self._catalog_stamp = stamp

    def observe(self, entity_type: str, values: list[str]) -> int:
        """Adds values of a frame in memory to the live index; returns how many were new.

        What an owner has cleared stays cleared, also where a frame has lost the label that said so.
        """
        if self._cleared is not None:
            values = [value for value in values if not self._is_shown(value)]
        with self._lock:
            return self.index.add(entity_type, values)

    def is_readable(self, real: Path, workspace: Path) -> bool:
        """Returns whether a kernel of ``workspace`` may have the resolved path scanned."""
        if real.is_relative_to(self._home.root):
            return False
        return real.is_relative_to(workspace) or self._catalog.resolve(real) is not None

    def _dataset_of(self, real: Path) -> Dataset | None:
        """Returns the dataset of a file, without what was lowered before the file last changed.

        A catalogued directory may lie in the workspace. A kernel could write a file there and so
        clear values of its own choice; the time of a file's last change it cannot set.
        """
        dataset = self._catalog.resolve(real)
        if dataset is None or self._workspace is None or not real.is_relative_to(self._workspace):
            return dataset
        return dataset.without_lowering(real.stat().st_ctime)

    def _is_shown(self, value: str) -> bool:
        level = None if self._cleared is None else self._cleared.level_of(value)
        return level is not None and self.policy.display[level] is Treatment.SHOW

    def _from_cache(self, path: Path, cache_id: str) -> Scan | None:
        from cloister.detect.cleared import ClearedFile
        from cloister.detect.exact import ExactIndex

        labels_path, index_path = self._cache_paths(cache_id)
        try:
            stored = json.loads(labels_path.read_text("utf-8"))
            index = ExactIndex.load(index_path, self._key)
            cleared = ClearedFile.load(labels_path.with_suffix(".cleared"), self._key)
        except (OSError, ValueError, CloisterError):
            return None  # not there, or damaged: read the file again
        self.index.merge(index)
        self._clear(path, cleared)
        labels = {column: ColumnLabel(**label) for column, label in stored["labels"].items()}
        return Scan(stored["dataset"], labels)

    def _read_once(self, path: Path, cache_id: str) -> Scan:
        """Reads a file unless another sidecar reads it now: then waits, and takes what it found."""
        lock_path = self._cache_paths(cache_id)[0].with_suffix(".lock")
        try:
            self._home.index_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return self._read(path, cache_id)  # nothing can be stored either
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = None if self._thorough else self._from_cache(path, cache_id)
            return found or self._read(path, cache_id)
        finally:
            # Whoever waits for the name that is gone has its turn all the same.
            lock_path.unlink(missing_ok=True)
            os.close(lock)

    def _read(self, path: Path, cache_id: str) -> Scan:
        from cloister.detect.cleared import ClearedFile
        from cloister.detect.exact import ExactIndex
        from cloister.detect.files import (
            classify_file,
            cleared_values,
            sensitive_rows,
            sensitive_values,
        )
        from cloister.detect.recognizers import Recognizers
        from cloister.detect.text import find_spans

        dataset = self._dataset_of(path)
        stated = dataset.column_rules(self.policy.columns) if dataset else ()
        declared = (*stated, *self.policy.columns)
        level_of, recognizers = self.policy.level_of, Recognizers.of(self.policy)
        search = self._thorough or partial(find_spans, recognizers=recognizers)
        findings, _rows = classify_file(
            path,
            declared=declared,
            level_of=level_of,
            recognizers=recognizers,
            fully=self._thorough is not None,
        )
        labels = {finding.name: _label(finding, dataset) for finding in findings}
        index = ExactIndex(self._key)
        for entity_type, values in sensitive_values(
            path, findings, level_of=level_of, search=search
        ):
            index.add(entity_type, values)
        for columns in sensitive_rows(path, findings, level_of=level_of):
            index.add_rows(columns)
        cleared = ClearedFile.build(self._key, cleared_values(path, findings, search=search))
        scan = Scan(dataset.name if dataset else None, labels)
        self._store(cache_id, scan, index, cleared)
        self.index.merge(index)
        self._clear(path, cleared)
        return scan

    def _clear(self, path: Path, cleared: ClearedFile) -> None:
        if self._cleared is not None:
            self._cleared.replace(str(path), cleared)

    def _store(self, cache_id: str, scan: Scan, index: ExactIndex, cleared: ClearedFile) -> None:
        labels_path, index_path = self._cache_paths(cache_id)
        document = {
            "dataset": scan.dataset,
            "labels": {column: asdict(label) for column, label in scan.labels.items()},
        }
        temporary = labels_path.with_name(f"{labels_path.name}.{os.getpid()}")
        try:
            self._home.index_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            index.save(index_path)
            cleared.save(labels_path.with_suffix(".cleared"), self._key)
            temporary.write_text(json.dumps(document), "utf-8")
            temporary.replace(labels_path)
        except OSError:
            logger.warning("CLO-SCAN-003: a scan could not be cached; it will be made again")

    def _cache_paths(self, cache_id: str) -> tuple[Path, Path]:
        directory = self._home.index_dir
        return directory / f"{cache_id}.json", directory / f"{cache_id}.idx"


def _label(finding: ColumnFinding, dataset: Dataset | None) -> ColumnLabel:
    """Returns the label of a column; a lowered one says by whom."""
    entity_type = finding.entity_type or ("FREE_TEXT" if finding.free_text else None)
    if dataset is None:
        return ColumnLabel(str(finding.level), entity_type, "detected")
    source = f"catalog:{dataset.name}"
    final = "lowered" in finding.evidence
    if final:
        source += f" lowered by {dataset.labels[finding.name].lowered_by}"
    return ColumnLabel(str(finding.level), entity_type, source, final)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
