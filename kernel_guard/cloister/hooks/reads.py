"""Tells the broker which files are read, and attaches the labels that it answers.

The readers of pandas, polars and pyarrow are wrapped, because the native ones raise no audit event;
``open`` is seen through an audit hook, for files that look like data. The broker returns once the
exact-match index holds the file, so a value that is printed right after the read is known to the
gate. A broker that does not answer never breaks a read: it is said once, as a warning.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import inspect
import logging
import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from cloister.core.errors import CloisterError
from cloister.hooks.client import client, is_guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    from cloister.hooks.labels import ColumnLabel

_log = logging.getLogger(__name__)

# A file with millions of rows is indexed before the answer.
_READ_TIMEOUT_S = 120.0
_MOST_FILES = 1_000

_FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".xlsx": "excel",
}

_PANDAS_READERS = (
    "read_csv", "read_table", "read_fwf", "read_parquet", "read_feather", "read_orc", "read_json",
    "read_excel", "read_sql", "read_sql_query", "read_sql_table", "read_pickle", "read_hdf",
    "read_stata", "read_sas", "read_spss", "read_xml",
)  # fmt: skip
_POLARS_READERS = (
    "read_csv", "read_csv_batched", "read_parquet", "read_ipc", "read_ipc_stream", "read_json",
    "read_ndjson", "read_excel", "read_ods", "read_avro", "scan_csv", "scan_parquet", "scan_ipc",
    "scan_ndjson",
)  # fmt: skip
_ARROW_READERS = {
    "pyarrow.csv": ("read_csv", "open_csv"),
    "pyarrow.json": ("read_json",),
    "pyarrow.parquet": ("read_table", "read_pandas"),
    "pyarrow.feather": ("read_table", "read_feather"),
    "pyarrow.orc": ("read_table",),
}
# Named in other ways than the rest of the readers name their first argument.
_PATH_ARGUMENTS = (
    "filepath_or_buffer",
    "path_or_buf",
    "path",
    "io",
    "source",
    "where",
    "input_file",
)

_reading = threading.local()
_known: dict[tuple[str, int, int, int], dict[str, ColumnLabel]] = {}
_warned: set[str] = set()


def install_pandas(pandas: ModuleType) -> None:
    """Wraps pandas' readers; does nothing the second time."""
    for name in _PANDAS_READERS:
        _wrap(pandas, name, _label_pandas)


def install_polars(polars: ModuleType) -> None:
    """Wraps polars' readers; does nothing the second time."""
    for name in _POLARS_READERS:
        _wrap(polars, name, _label_polars)


def install_arrow(module: ModuleType) -> None:
    """Wraps the readers of one pyarrow module; does nothing the second time."""
    for name in _ARROW_READERS[module.__name__]:
        _wrap(module, name, _label_nothing)


def arrow_modules() -> Iterable[str]:
    """Returns the pyarrow modules that have readers."""
    return _ARROW_READERS


def install_open() -> None:
    """Adds the audit hook for ``open`` on data files; audit hooks cannot be removed again."""
    sys.addaudithook(_audit_open)


def observe_read(path: object, format_name: str | None = None) -> dict[str, ColumnLabel]:
    """Tells the broker of a read and returns the declared labels; never raises.

    Args:
        path: A local path, a glob, a ``file:`` URL, or a list of these. Anything else, for
            instance an open file or a URL, has no path to tell of.
        format_name: ``csv``, ``parquet``, …; by the file's suffix when left out.
    """
    labels: dict[str, ColumnLabel] = {}
    for file in _local_paths(path):
        for name, label in _observe_one(file, format_name).items():
            known = labels.get(name)
            labels[name] = label if known is None else known.join(label)
    return labels


def _observe_one(path: str, format_name: str | None) -> dict[str, ColumnLabel]:
    try:
        status = os.stat(path)  # noqa: PTH116 - runs in audit hooks; pathlib costs more than the call
    except OSError:
        return {}  # the reader reports it
    # Once a cell: a second cell that reads the same file has read it, too, and its record says so.
    key = (os.path.realpath(path), status.st_mtime_ns, status.st_size, _cell_number())
    if key in _known:
        return _known[key]
    kind = format_name or _FORMATS.get(os.path.splitext(path)[1].lower(), "")  # noqa: PTH122 - as above
    was_reading = getattr(_reading, "active", False)
    _reading.active = True
    # Labels load with the first read: the kernel's start should not wait for them.
    from cloister.hooks import labels as lb

    try:
        answer = client().call("observe_read", path=key[0], format=kind, timeout_s=_READ_TIMEOUT_S)
        labels = lb.from_broker(answer.get("labels") or {})
    except CloisterError as error:
        _warn_once(error)
        return {}
    except Exception as error:  # noqa: BLE001 - comfort: a read must not fail for it
        _log.debug("a read was not observed: %s", type(error).__name__)
        return {}
    finally:
        _reading.active = was_reading
    _known[key] = labels
    lb.session_names.declare(labels)
    return labels


def _cell_number() -> int:
    """Returns the number of the running cell, 0 outside IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return int(getattr(shell, "execution_count", 0))


def _warn_once(error: CloisterError) -> None:
    if error.code in _warned:
        return
    _warned.add(error.code)
    warnings.warn(
        f"cloister: the labels of this file could not be had ({error}). Its columns are still "
        "recognised by what they hold.",
        stacklevel=6,
    )


def _local_paths(source: object) -> Iterator[str]:
    if isinstance(source, list | tuple):
        for item in source[:_MOST_FILES]:
            yield from _local_paths(item)
        return
    if not isinstance(source, str | os.PathLike):
        return
    try:
        text = os.fspath(source)
    except TypeError:
        return
    if not isinstance(text, str) or "\0" in text or "\n" in text:
        return
    if text.startswith("file:"):
        text = unquote(urlsplit(text).path)
    elif "://" in text:
        return
    text = os.path.expanduser(text)  # noqa: PTH111 - text in, text out
    if os.path.exists(text):  # noqa: PTH110 - as above
        yield os.path.abspath(text)  # noqa: PTH100 - as above
    elif any(c in text for c in "*?["):
        yield from sorted(glob.glob(text, recursive=True))[:_MOST_FILES]  # noqa: PTH207 - as above


def _wrap(
    module: ModuleType, name: str, attach: Callable[[Any, dict[str, ColumnLabel], str], None]
) -> None:
    original = getattr(module, name, None)
    if original is None or hasattr(original, "__cloister_original__"):
        return

    @functools.wraps(original)
    def reader(*args: Any, **kwargs: Any) -> Any:
        if getattr(_reading, "active", False) or not is_guarded():
            return original(*args, **kwargs)
        source = (
            args[0] if args else next((kwargs[k] for k in _PATH_ARGUMENTS if k in kwargs), None)
        )
        labels = observe_read(source, _format_of(name))
        # The reader opens files and calls other readers itself: that is one read, not three.
        _reading.active = True
        try:
            result = original(*args, **kwargs)
        finally:
            _reading.active = False
        if labels:
            try:
                attach(result, labels, _place(source))
            except Exception as error:  # noqa: BLE001 - the data is read; labels are comfort
                _log.debug("labels not attached: %s", type(error).__name__)
        return result

    # C readers have no signature to copy; inspect must not fail on the wrapper for that.
    with contextlib.suppress(TypeError, ValueError):
        reader.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    reader.__cloister_original__ = original  # type: ignore[attr-defined]
    setattr(module, name, reader)


def _format_of(reader: str) -> str | None:
    kind = reader.partition("_")[2]
    known = {"csv": "csv", "table": None, "parquet": "parquet", "json": "json", "excel": "excel"}
    return {**known, "feather": "arrow", "ipc": "arrow", "ndjson": "jsonl"}.get(kind)


def _place(source: object) -> str:
    """Returns what people call a file: its name without its folders."""
    return next((os.path.basename(path) for path in _local_paths(source)), "")  # noqa: PTH119 - text in, text out


def _label_pandas(result: Any, labels: dict[str, ColumnLabel], place: str) -> None:
    if isinstance(result, dict):  # read_excel with several sheets
        for part in result.values():
            _label_pandas(part, labels, place)
    elif hasattr(result, "attrs"):
        from cloister.hooks.pandas_provenance import declare

        declare(result, labels, place)


def _label_polars(result: Any, labels: dict[str, ColumnLabel], place: str) -> None:
    from cloister.hooks.polars_provenance import declare

    for part in result.values() if isinstance(result, dict) else (result,):
        declare(part, labels, place)


def _label_nothing(_result: Any, _labels: dict[str, ColumnLabel], _place: str) -> None:
    """Attaches nothing: these tables have no place for it, and the session's names serve."""


def _audit_open(event: str, args: tuple[Any, ...]) -> None:
    if event != "open":
        return
    path = args[0]
    # Called for every file that anything opens: the cheapest test comes first.
    if not isinstance(path, str) or path[-8:].rpartition(".")[2].lower() not in _OPEN_SUFFIXES:
        return
    mode, flags = args[1], args[2]
    if getattr(_reading, "active", False) or not is_guarded():
        return
    is_written = any(c in mode for c in "wax+") if isinstance(mode, str) else bool(flags & 3)
    if not is_written:
        observe_read(path)


_OPEN_SUFFIXES = frozenset(suffix[1:] for suffix in _FORMATS)
