"""Scans data files outside the kernel: column labels, and keyed digests of sensitive values.

What the scan finds feeds the exact-match index of the gate, so that a name that no pattern knows is
recognised in any output. Results are cached in ``CLOISTER_HOME`` by path, size, modification time
and policy; a cache holds labels and keyed digests, never values.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from pathlib import Path

    from cloister.core.policy import Policy
    from cloister.detect.exact import ExactIndex
    from cloister.store.catalog import Catalog
    from cloister.store.home import Home

logger = logging.getLogger(__name__)


class ScanRefused(CloisterError):
    """A file that a kernel may not have scanned, or that cannot be read as data."""

    default_code = "CLO-SCAN-001"


@dataclass(frozen=True, slots=True)
class ColumnLabel:
    """The label of one column of a file, in the shape that the broker answers."""

    level: str
    entity_type: str | None
    source: str


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
    """

    def __init__(
        self,
        home: Home,
        index_key: bytes,
        policy: Policy,
        catalog: Catalog,
        index: ExactIndex,
    ) -> None:
        self.policy = policy
        self.index = index
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
        dataset = self._catalog.resolve(real)
        declared = json.dumps(dataset.labels if dataset else {}, sort_keys=True, default=str)
        name = dataset.name if dataset else None
        identity = (
            f"{real}|{stat.st_size}|{stat.st_mtime_ns}|{self.policy.digest}|{declared}|{name}"
        )
        cache_id = hashlib.blake2b(
            identity.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16
        ).hexdigest()
        with self._lock:
            if cache_id not in self._done:
                self._done[cache_id] = self._from_cache(cache_id) or self._read(real, cache_id)
            return self._done[cache_id]

    def observe(self, entity_type: str, values: list[str]) -> int:
        """Adds values of a frame in memory to the live index; returns how many were new."""
        with self._lock:
            return self.index.add(entity_type, values)

    def is_readable(self, real: Path, workspace: Path) -> bool:
        """Returns whether a kernel of ``workspace`` may have the resolved path scanned."""
        if real.is_relative_to(self._home.root):
            return False
        return real.is_relative_to(workspace) or self._catalog.resolve(real) is not None

    def _from_cache(self, cache_id: str) -> Scan | None:
        from cloister.detect.exact import ExactIndex

        labels_path, index_path = self._cache_paths(cache_id)
        try:
            stored = json.loads(labels_path.read_text("utf-8"))
            index = ExactIndex.load(index_path, self._key)
        except (OSError, ValueError, CloisterError):
            return None  # not there, or damaged: read the file again
        self.index.merge(index)
        labels = {column: ColumnLabel(**label) for column, label in stored["labels"].items()}
        return Scan(stored["dataset"], labels)

    def _read(self, path: Path, cache_id: str) -> Scan:
        from cloister.detect.exact import ExactIndex
        from cloister.detect.files import classify_file, sensitive_values

        dataset = self._catalog.resolve(path)
        declared = (*(dataset.column_rules() if dataset else ()), *self.policy.columns)
        findings, _rows = classify_file(path, declared=declared, level_of=self.policy.level_of)
        source = f"catalog:{dataset.name}" if dataset else "detected"
        labels = {
            f.name: ColumnLabel(
                str(f.level), f.entity_type or ("FREE_TEXT" if f.free_text else None), source
            )
            for f in findings
        }
        index = ExactIndex(self._key)
        for entity_type, values in sensitive_values(path, findings):
            index.add(entity_type, values)
        scan = Scan(dataset.name if dataset else None, labels)
        self._store(cache_id, scan, index)
        self.index.merge(index)
        return scan

    def _store(self, cache_id: str, scan: Scan, index: ExactIndex) -> None:
        labels_path, index_path = self._cache_paths(cache_id)
        self._home.index_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        document = {
            "dataset": scan.dataset,
            "labels": {column: asdict(label) for column, label in scan.labels.items()},
        }
        temporary = labels_path.with_name(f"{labels_path.name}.{os.getpid()}")
        try:
            index.save(index_path)
            temporary.write_text(json.dumps(document), "utf-8")
            temporary.replace(labels_path)
        except OSError:
            logger.warning("CLO-SCAN-003: a scan could not be cached; it will be made again")

    def _cache_paths(self, cache_id: str) -> tuple[Path, Path]:
        directory = self._home.index_dir
        return directory / f"{cache_id}.json", directory / f"{cache_id}.idx"
