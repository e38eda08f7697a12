"""Files larger than memory: bounded batches, two passes, an output that is whole or not there."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import os
import subprocess
import sys
import textwrap
from functools import partial

import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.core.policy import Treatment, policy_from_dict
from cloister.detect.mask import mask_table
from cloister.detect.streaming import classify_table_file, mask_batches, mask_table_file
from cloister.detect.tablefile import open_table, read_table
from cloister.detect.tablewriter import open_writer
from cloister.detect.tokens import Tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

POLICY = policy_from_dict({"version": 1}, "0" * 64)
SMALL = 4_096  # bytes of a batch, so that a small file has many
ROWS = 4_000
SSNS = [f"{219 + i % 400}-{10 + i % 89}-{1000 + i}" for i in range(ROWS)]


def masking_of(findings):
    return partial(
        mask_table,
        findings=findings,
        treatment_of=POLICY.display.__getitem__,
        tokenizer=Tokenizer(b"t" * 32),
    )


def mask(source, target, batch_bytes=SMALL, **kwargs):
    with open_table(source, batch_bytes=batch_bytes) as reader:
        held = classify_table_file(reader)
    with open_table(source, batch_bytes=batch_bytes) as reader:
        rows = mask_table_file(
            reader, partial(open_writer, target), masking_of(held.findings), **kwargs
        )
    assert rows == held.rows
    return held


def write_rows(path, rows=ROWS, opener=open):
    with opener(path, "wt", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "ssn", "note", "ssn"])
        writer.writerows([str(i), SSNS[i], f'say "{i}",\nthen', SSNS[-i]] for i in range(rows))
    return path


def content_of(path):
    return [column.to_pylist() for column in read_table(path).columns]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet", "arrow"])
def test_many_small_batches_mask_as_one_large_one_does(tmp_path, suffix):
    source = write_rows(tmp_path / "in.csv")
    small, large = tmp_path / f"small.{suffix}", tmp_path / f"large.{suffix}"
    with open_table(source, batch_bytes=SMALL) as reader:
        assert sum(1 for _ in reader.batches) > 20
    mask(source, small)
    mask(source, large, batch_bytes=1 << 26)
    assert content_of(small) == content_of(large)
    if suffix != "jsonl":  # an object has a name once
        ids, ssns, notes, others = content_of(small)
        assert len(ids) == ROWS
        assert all(value.startswith("US_SSN~") for value in (*ssns, *others))
        assert notes[7] == 'say "7",\nthen'
        assert ssns[1] == others[-1], "equal values have equal tokens, in every column"


@pytest.mark.parametrize(
    ("suffix", "opener"), [(".csv.gz", gzip.open), (".csv.bz2", bz2.open), (".csv.zst", None)]
)
def test_compressed_csv_is_read_like_any_other(tmp_path, suffix, opener):
    plain = write_rows(tmp_path / "plain.csv")
    packed = tmp_path / f"packed{suffix}"
    if opener:
        write_rows(packed, opener=opener)
    else:
        packed.write_bytes(pa.compress(plain.read_bytes(), "zstd", asbytes=True))
    assert content_of(packed) == content_of(plain)
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(CloisterError) as caught:
        content_of(packed)
    assert caught.value.code == "CLO-DETECT-002"


def test_a_type_that_changes_late_breaks_nothing(tmp_path):
    path = tmp_path / "late.csv"
    path.write_text("n,x\n" + "1,2\n" * 50_000 + "n/a?,01234\n")
    with open_table(path, batch_bytes=SMALL) as reader:
        *_, last = reader.batches
    assert last.to_pylist()[-1] == {"n": "n/a?", "x": "01234"}
    lines = tmp_path / "late.jsonl"
    rows = [{"n": 1} for _ in range(5_000)] + [{"n": "x", "late": [1, {"a": None}]}]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with open_table(lines, batch_bytes=SMALL) as reader:
        assert reader.schema.names == ["n", "late"]
        *_, last = reader.batches
    assert last.to_pylist()[-1] == {"n": "x", "late": '[1, {"a": null}]'}
    mask(lines, tmp_path / "out.jsonl")
    *_, last = (tmp_path / "out.jsonl").read_text().splitlines()
    assert json.loads(last)["late"] == [1, {"a": None}], "what was JSON is JSON again"


def test_a_ragged_row_is_named_by_its_number_and_not_by_its_content(tmp_path):
    path = tmp_path / "ragged.csv"
    path.write_text("a,b\n" + "1,2\n" * 3_000 + f"{SSNS[0]}\n" + "1,2\n")
    with pytest.raises(CloisterError, match=r"Row 3002 of ragged\.csv has 1 values") as caught:
        mask(path, tmp_path / "out.csv")
    assert SSNS[0] not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["ragged.csv"]


def test_a_row_longer_than_a_block_is_read(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("a,b\n" + "1,2\n" * 2_000 + f'{SSNS[0]},"{"x, " * 60_000}"\n' + "3,4\n" * 2_000)
    with open_table(path, batch_bytes=SMALL) as reader:
        rows = [row for batch in reader.batches for row in batch.column(0).to_pylist()]
    assert rows == ["1"] * 2_000 + [SSNS[0]] + ["3"] * 2_000


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (b"", []),
        (b"\n\n", []),
        (b"\xef\xbb\xbf", []),
        (b"a,b", ["a", "b"]),
        (b"a,b\r\n", ["a", "b"]),
        ("ä;b\n".encode("utf-16"), ["ä", "b"]),
        (b'"a,x";b\n', ["a,x", "b"]),
    ],
)
def test_a_file_without_rows_is_a_table_without_rows(tmp_path, content, columns):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(content)
    held = mask(source, target)
    assert [f.name for f in held.findings] == columns
    assert held.rows == 0
    assert read_table(target).column_names == columns


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "|"])
def test_encoding_and_delimiter_are_seen(tmp_path, encoding, delimiter):
    path = tmp_path / "in.csv"
    lines = [f"größe{delimiter}ssn", *(f"ä{i}{delimiter}{SSNS[i]}" for i in range(300))]
    path.write_bytes("\n".join(lines).encode(encoding))
    held = mask(path, tmp_path / "out.csv")
    assert [(f.name, f.entity_type) for f in held.findings][1] == ("ssn", "US_SSN")
    assert read_table(tmp_path / "out.csv")["größe"][7].as_py() == "ä7"


def test_utf8_that_does_not_stay_so_is_said(tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(b"a\n" + b"x\n" * 1_000_000 + b"\xff\xfe\xff\n")
    with pytest.raises(CloisterError, match="does not stay so"):
        content_of(path)


def test_parquet_keeps_the_types_that_masks_keep(tmp_path):
    table = pa.table(
        {
            "n": pa.array(range(ROWS), pa.int16()),
            "when": pa.array([None, *range(ROWS - 1)], pa.timestamp("us", "UTC")),
            "kind": pa.array(["a", "b"] * (ROWS // 2)).dictionary_encode(),
            "deep": [{"x": [i]} for i in range(ROWS)],
            "ssn": SSNS,
        }
    )
    for name in ("in.parquet", "in.arrow"):
        with open_writer(tmp_path / name, table.schema) as writer:
            for batch in table.to_batches(100):
                writer.write(batch)
        held = mask(tmp_path / name, tmp_path / f"out-{name}")
        out = read_table(tmp_path / f"out-{name}")
        shown = [f.name for f in held.findings if POLICY.display[f.level] is Treatment.SHOW]
        assert {"n", "when", "kind"} <= set(shown)
        for column in shown:
            assert out.schema.field(column).type == table.schema.field(column).type
            assert out[column].to_pylist() == table[column].to_pylist()
        assert "ssn" not in shown


def test_one_batch_as_long_as_the_file_is_sliced(tmp_path):
    table = pa.table({"ssn": SSNS})
    for name, new in (("f.arrow", pa.ipc.new_file), ("s.arrow", pa.ipc.new_stream)):
        with new(str(tmp_path / name), table.schema) as sink:
            sink.write_table(table)
        with open_table(tmp_path / name, batch_bytes=SMALL) as reader:
            sizes = [batch.num_rows for batch in reader.batches]
        assert sum(sizes) == ROWS
        assert max(sizes) < 400


def test_progress_never_goes_back_and_ends_at_the_end(tmp_path):
    source = write_rows(tmp_path / "in.csv")
    table = pv.read_csv(source, parse_options=pv.ParseOptions(newlines_in_values=True))
    pq.write_table(table.select([0]), tmp_path / "in.parquet", row_group_size=500)
    for path in (source, tmp_path / "in.parquet"):
        told = []
        with open_table(path, batch_bytes=SMALL) as reader:
            classify_table_file(
                reader, progress=lambda done, size, to=told: to.append((done, size))
            )
        assert told == sorted(told)
        assert told[-1] == (path.stat().st_size,) * 2


class Stopped(BaseException):
    """Like an interrupt: no Exception."""


def test_an_interrupt_leaves_the_target_as_it_was_and_nothing_beside_it(tmp_path):
    source, target = write_rows(tmp_path / "in.csv"), tmp_path / "out.csv"
    target.write_text("before")
    calls = []

    def stop(done, size):
        calls.append(done)
        if len(calls) == 5:
            raise Stopped

    with pytest.raises(Stopped):
        mask(source, target, progress=stop)
    assert target.read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_a_check_that_refuses_leaves_nothing(tmp_path):
    source = write_rows(tmp_path / "in.csv")

    def refuse():
        raise CloisterError("changed")

    with pytest.raises(CloisterError):
        mask(source, tmp_path / "out.parquet", check=refuse)
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_the_copy_is_not_open_to_more_people_than_what_it_replaces(tmp_path):
    source, target = write_rows(tmp_path / "in.csv"), tmp_path / "out.csv"
    target.touch(0o600)
    mask(source, target)
    assert target.stat().st_mode & 0o777 == 0o600


def run_limited(tmp_path, limits, *lines):
    """Runs Python lines in a process with resource limits; returns its outcome."""
    code = "import resource, sys\nfrom pathlib import Path\n" + textwrap.dedent("\n".join(lines))
    limited = "".join(f"resource.setrlimit(resource.{k}, ({v}, {v}))\n" for k, v in limits.items())
    return subprocess.run(
        [sys.executable, "-c", code.replace("LIMIT\n", limited)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow", "jsonl"])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, suffix):
    source = write_rows(tmp_path / "in.csv")
    done = run_limited(
        tmp_path,
        {"RLIMIT_FSIZE": 20_000},
        "from cloister.cli.main import run",
        "LIMIT",
        f"sys.exit(run(['mask', 'in.csv', 'out.{suffix}', '--json']))",
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "CLO-INPUT-008"
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".home"] == ["in.csv"]
    assert source.stat().st_size > 100_000


def test_memory_does_not_grow_with_the_file(tmp_path):
    """A text of 230 MB is read in about 100 MB."""
    path = tmp_path / "big.csv"
    block = "".join(f"{i},{SSNS[i]},some words of no meaning here\n" for i in range(ROWS))
    with path.open("w") as stream:
        stream.write("id,ssn,words\n")
        for _ in range(1200):
            stream.write(block)
    assert path.stat().st_size > 220_000_000
    done = run_limited(
        tmp_path,
        {},
        "import pyarrow, pyarrow.csv, numpy",
        "from cloister.detect.tablefile import open_table",
        "def used():",
        "    return int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])",
        "before = used()",
        "with open_table(Path('big.csv')) as reader:",
        "    rows = sum(batch.num_rows for batch in reader.batches)",
        "print(rows, (used() - before) // 1024)",
    )
    rows, grown = map(int, done.stdout.split())
    assert rows == 1200 * ROWS
    assert grown < 130, "MB: 32 blocks of 1 MB ahead, and two batches of 8 MB"


def test_mask_batches_has_the_shape_that_spark_and_others_map():
    """``mapInArrow`` passes an iterator of record batches and takes one; neither is a list."""
    table = pa.table({"ssn": SSNS, "n": range(ROWS)})
    batches = table.to_batches(100)
    with_empty = iter([batches[0].slice(0, 0), *batches])
    from cloister.detect.columns import classify_table

    function = partial(mask_batches, masking=masking_of(classify_table(table)))
    out = function(with_empty)
    first = next(out)
    assert isinstance(first, pa.RecordBatch)
    assert next(with_empty).num_rows == 100, "it takes batches as they are asked for"
    rest = list(out)
    assert sum(batch.num_rows for batch in (first, *rest)) == ROWS - 100
    assert {batch.schema for batch in rest} == {first.schema}


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(
            *[st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)] * 2
        ),
        max_size=20,
    )
)
def test_csv_that_is_shown_comes_out_as_it_went_in(tmp_path_factory, rows):
    """Quotes, delimiters, line breaks and missing values survive both ways."""
    directory = tmp_path_factory.mktemp("law")
    source, target = directory / "in.csv", directory / "out.csv"
    with source.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("a", "b"), *rows])
    with open_table(source) as reader, open_writer(target, reader.schema) as writer:
        for batch in reader.batches:
            writer.write(batch)
    before, after = read_table(source), read_table(target)
    texts = [[value or "" for value in column.to_pylist()] for column in before.columns]
    assert texts == [[value or "" for value in column.to_pylist()] for column in after.columns]
    assert before.num_rows == len(rows)


def test_levels_of_the_policy_decide(tmp_path):
    path = write_rows(tmp_path / "in.csv")
    with open_table(path) as reader:
        held = classify_table_file(reader, level_of=lambda _kind: Level.INTERNAL)
    assert {f.level for f in held.findings} <= {Level.PUBLIC, Level.INTERNAL}
