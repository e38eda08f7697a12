"""One Parquet file for analysts: a row for each event, columns for what most events say.

Everything else is in ``header``, byte for byte as it is hashed, so that a row can still be proved:
``leaf`` is SHA-256 of a zero byte and ``header``. The file's metadata hold the checkpoint and key.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.store.executions import RESULT
from cloister.store.exports import facts

if TYPE_CHECKING:
    from cloister.store.exports.view import Event, RecordView

_ROWS: Final = 10_000  # of one row group, which is what is in memory at once

_TEXTS: Final = (
    "execution_id", "kernel_id", "user", "notebook", "cell_id", "trace_id", "code_sha256",
    "status", "decision", "rule", "host", "dataset", "attested_by",
)  # fmt: skip
_NUMBERS: Final = ("execution_count", "duration_us", "port", "bytes_out", "bytes_in")
_COUNTS: Final = ("shown", "masked", "blocked")


class Parquet:
    """See the module.

    Raises:
        CloisterError: pyarrow is not installed (``CLO-EXPORT-003``).
    """

    suffix = ".parquet"
    is_stream = True

    def __init__(self) -> None:
        try:
            import pyarrow.parquet  # noqa: F401 - whether it is there
        except ImportError:
            raise CloisterError(
                "Parquet files need pyarrow, which is not installed.",
                code="CLO-EXPORT-003",
                remedy="Install it: pip install 'cloister[kernel]'",
            ) from None

    def write(self, view: RecordView, out: IO[bytes]) -> int:
        """Writes one row for each event, a row group at a time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = parquet_schema().with_metadata(
            {
                "cloister.origin": view.origin,
                "cloister.checkpoint": view.head.note,
                "cloister.public_key": view.public_key,
            }
        )
        count = 0
        rows: list[dict[str, Any]] = []
        with pq.ParquetWriter(out, schema, compression="zstd") as writer:
            for event in view.events():
                rows.append(_row(event))
                count += 1
                if len(rows) == _ROWS:
                    writer.write_table(pa.Table.from_pylist(rows, schema))
                    rows = []
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema))
        return count


def parquet_schema() -> Any:
    """Returns the Arrow schema of the file."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("seq", pa.int64(), nullable=False),
            pa.field("time", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("type", pa.string(), nullable=False),
            *(pa.field(name, pa.string()) for name in _TEXTS),
            *(pa.field(name, pa.int64()) for name in _NUMBERS),
            *(pa.field(name, pa.int64()) for name in _COUNTS),
            pa.field("labels", pa.list_(pa.string())),
            pa.field("reads", pa.list_(pa.string())),
            pa.field("leaf", pa.binary(32), nullable=False),
            pa.field("header", pa.binary(), nullable=False),
        ]
    )


def _row(event: Event) -> dict[str, Any]:
    body = event.body
    row: dict[str, Any] = {"seq": event.seq, "time": event.time_us, "type": event.type}
    row |= {name: facts.text(body, name) for name in _TEXTS}
    row |= {name: _int64(facts.number(body, name)) for name in _NUMBERS}
    if event.type == RESULT:
        row |= {name: _int64(count) for name, count in facts.counts(body).items()}
    row["labels"] = facts.texts(body, "labels")
    row["reads"] = [
        name for read in facts.objects(body, "reads") if (name := facts.read_name(read))
    ]
    return row | {"leaf": event.leaf, "header": event.header}


def _int64(value: int | None) -> int | None:
    return value if value is not None and -(2**63) <= value < 2**63 else None
