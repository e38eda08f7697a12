"""Reads are told to the broker once, labels come back and follow, and nothing breaks a read."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
import warnings

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest
from cloister.hooks import reads

LABELS = {"code": {"level": "restricted", "entity_type": "MEDICAL", "source": "catalog:patients"}}


@pytest.fixture
def readers(hooked):
    modules = [pa.csv, pa.parquet, pa.feather]
    kept = [(m, dict(vars(m))) for m in (pd, pl, *modules)]
    reads.install_pandas(pd)
    reads.install_polars(pl)
    for module in modules:
        reads.install_arrow(module)
    yield
    for module, names in kept:
        for name, value in names.items():
            if name.startswith(("read_", "scan_", "open_")):
                setattr(module, name, value)


@pytest.fixture
def files(tmp_path, broker):
    frame = pd.DataFrame({"code": ["A1x", "B2y"], "n": [1, 2]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_feather(tmp_path / "t.feather")
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    for name in ("t.csv", "t.parquet", "t.feather", "t.jsonl"):
        broker.files[name] = LABELS
    broker.asked.clear()
    return tmp_path


PANDAS = [
    lambda d: pd.read_csv(d / "t.csv"),
    lambda d: pd.read_csv(str(d / "t.csv"), engine="pyarrow"),
    lambda d: pd.read_csv(filepath_or_buffer=d / "t.csv"),
    lambda d: pd.read_table(d / "t.csv", sep=","),
    lambda d: pd.read_parquet(d / "t.parquet"),
    lambda d: pd.read_feather(d / "t.feather"),
    lambda d: pd.read_json(d / "t.jsonl", lines=True),
    lambda d: pd.read_csv((d / "t.csv").as_uri()),
]


@pytest.mark.parametrize("read", PANDAS)
def test_a_pandas_read_is_told_once_and_labelled(readers, files, broker, read):
    frame = read(files)
    told = [r for r in broker.asked if r["op"] == "observe_read"]
    assert len(told) == 1
    assert told[0]["path"].startswith(str(files))
    shown = repr(frame)
    assert "code [MEDICAL restricted]" in shown
    assert "A1x" not in shown
    assert frame.code[0] == "A1x"


def test_labels_follow_what_is_derived(readers, files):
    frame = pd.read_csv(files / "t.csv")
    for derived in (
        frame.head(1),
        frame[frame.n > 1],
        frame.assign(m=3),
        frame.copy(),
        frame[["code"]],
    ):
        assert "MEDICAL~" in repr(derived)
    assert "MEDICAL~" in repr(frame.code)
    assert "MEDICAL~" in repr(frame.iloc[0])


def test_labels_survive_parquet(readers, files, broker):
    pd.read_csv(files / "t.csv").to_parquet(files / "u.parquet")
    assert "MEDICAL~" in repr(pd.read_parquet(files / "u.parquet"))


POLARS = [
    lambda d: pl.read_csv(d / "t.csv"),
    lambda d: pl.scan_csv(str(d / "*.csv")).collect(),
    lambda d: pl.read_parquet(d / "t.parquet"),
    lambda d: pl.scan_parquet(d / "t.parquet").collect(),
    lambda d: pl.read_ndjson(d / "t.jsonl"),
    lambda d: pl.read_ipc(d / "t.feather"),
]


@pytest.mark.parametrize("read", POLARS)
def test_a_polars_read_is_told_once_and_labelled(readers, files, broker, read):
    frame = read(files)
    assert broker.count("observe_read") == 1
    assert "A1x" not in repr(frame)


@pytest.mark.parametrize(
    "read",
    [
        lambda d: pa.csv.read_csv(d / "t.csv"),
        lambda d: pa.parquet.read_table(d / "t.parquet"),
        lambda d: pa.feather.read_table(d / "t.feather"),
    ],
)
def test_an_arrow_read_is_told_once(readers, files, broker, read):
    assert read(files).num_rows == 2
    assert broker.count("observe_read") == 1


def test_an_unchanged_file_is_told_once(readers, files, broker):
    pd.read_csv(files / "t.csv")
    pd.read_csv(files / "t.csv")
    assert broker.count("observe_read") == 1
    (files / "t.csv").write_text("code,n\nC3z,5\nD4,6\nE5,7\n")
    pd.read_csv(files / "t.csv")
    assert broker.count("observe_read") == 2


def test_buffers_and_urls_and_missing_files_are_left_alone(readers, files, broker):
    import io

    assert len(pd.read_csv(io.StringIO("a\n1\n"))) == 1
    with pytest.raises(FileNotFoundError):
        pd.read_csv(files / "missing.csv")
    assert list(reads._local_paths("https://example.org/x.csv")) == []
    assert broker.count("observe_read") == 0


def test_a_broker_that_refuses_warns_once_and_breaks_nothing(readers, files, broker):
    broker.refuse.add("observe_read")
    with pytest.warns(UserWarning, match="CLO-BROKER-003"):
        assert len(pd.read_csv(files / "t.csv")) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(pd.read_csv(files / "t.csv")) == 2


def test_readers_keep_their_name_and_signature(readers):
    assert pd.read_csv.__name__ == "read_csv"
    assert "sep" in inspect.signature(pd.read_csv).parameters
    assert pd.read_csv.__doc__


def test_open_of_a_data_file_is_told(files, broker):
    code = f"""
    from cloister.hooks import reads
    reads.install_open()
    open({str(files / "t.csv")!r}).read()
    open({str(files / "new.csv")!r}, "w").close()
    open({str(files / "note.txt")!r}, "w").close()
    open({str(files / "note.txt")!r}).close()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
    assert [r["path"].rpartition("/")[2] for r in broker.asked] == ["t.csv"]
