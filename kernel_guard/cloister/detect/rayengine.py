"""The Ray engine: parts go through a Ray Data map, at most one on each CPU at a time.

Also for rows that are in a Ray dataset already: :class:`MaskRows` is what
``Dataset.map_batches(MaskRows, fn_constructor_args=(job, findings), batch_format="pyarrow")`` maps.
"""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.detect.cluster import ClusterError, part_as_dict, part_from_dict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from cloister.detect.cluster import Job, Part, Work
    from cloister.detect.finding import ColumnFinding


_KNOCK_S: Final = 10


class RayEngine:
    """Runs parts on a Ray cluster.

    Args:
        address: ``host:port`` or ``auto``; ``None`` for ``RAY_ADDRESS``, or else for a cluster on
            this machine that ends with the process.
        workers: The most parts at a time; ``None`` for as many as there are CPUs.

    Raises:
        ClusterError: Ray is not installed (``CLO-CLUSTER-004``), or there is no cluster at the
            address (``CLO-CLUSTER-005``).
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        # Nothing about a workspace goes to anyone, not even that it exists.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
            import ray.data
        except ImportError:
            raise ClusterError(
                "Ray is not installed.",
                code="CLO-CLUSTER-004",
                remedy='Run: pip install "cloister[ray]"',
            ) from None
        self._workers = workers
        if ray.is_initialized():
            return
        try:
            _knock(address or os.environ.get("RAY_ADDRESS"))
            options: dict[str, Any] = {}
            if address is None and not os.environ.get("RAY_ADDRESS"):
                options = {"include_dashboard": False, "num_cpus": workers}
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except (OSError, RuntimeError, ValueError):
            raise ClusterError(
                "There is no Ray cluster to be reached.",
                code="CLO-CLUSTER-005",
                remedy="Check --address or RAY_ADDRESS; on a head node, run: ray status",
            ) from None

    def __call__(self, work: Work, parts: Sequence[Part]) -> Iterator[bytes]:
        """Yields the result of each part as it comes."""
        import ray.data
        from ray.exceptions import RayError

        _quiet()
        items = [{"part": json.dumps(part_as_dict(part))} for part in parts]
        if not items:
            return

        def do(row: dict[str, Any]) -> dict[str, bytes]:
            return {"result": work(part_from_dict(json.loads(row["part"])))}

        # One block for each part, so that a part is what is given to a worker and given again.
        mapped = ray.data.from_items(items, override_num_blocks=len(items)).map(
            do, num_cpus=1, concurrency=self._workers
        )
        try:
            for row in mapped.iter_rows():
                yield row["result"]
        except RayError as error:
            raise ClusterError(
                f"A worker was lost ({type(error).__name__}).",
                code="CLO-CLUSTER-002",
                remedy="Look at the cluster (ray status); a worker may be short of memory.",
            ) from None


class MaskRows:
    """Masks the batches of a Ray dataset, with a masking that each worker makes for itself.

    Args:
        job: Where workers find the workspace.
        findings: What the dataset holds, from :func:`cloister.detect.cluster.classify_parts` or
            :func:`cloister.detect.columns.classify_table`.
    """

    def __init__(self, job: Job, findings: Sequence[ColumnFinding]) -> None:
        self._masking = job.masking(findings)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Returns the batch masked."""
        try:
            return self._masking(batch)
        except CloisterError:
            raise
        except Exception as error:  # noqa: BLE001 - Ray logs the text of what a worker raises
            raise ClusterError(
                f"A batch could not be masked ({type(error).__name__}).", code="CLO-CLUSTER-002"
            ) from None


def _knock(address: str | None) -> None:
    """Raises ``OSError`` where nobody listens: Ray itself would wait for minutes."""
    import socket

    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()


def _quiet() -> None:
    """Keeps Ray's progress off a terminal that shows ours."""
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
