"""Parts of a dataset, here and on a Ray cluster of two nodes: the same copy, and no key sent."""

from __future__ import annotations

import os
import pickle  # noqa: TID251 - what an engine would send is looked at, never read

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cloister.cli.cluster import WorkspaceJob, job_for, parts_at
from cloister.cli.main import run
from cloister.cli.masking import table_masking
from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.detect.cluster import classify_parts, in_this_process, mask_parts
from cloister.detect.streaming import silent
from cloister.detect.tablefile import read_table
from cloister.store.catalog import Catalog
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.policy import load_policy

ROWS = 1_200
SSNS = [f"{219 + i % 400}-{10 + i % 89}-{1000 + i}" for i in range(ROWS)]
TABLE = pa.table({"id": range(ROWS), "ssn": SSNS, "when": pa.array(range(ROWS), pa.date32())})


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = ensure_home(Home(tmp_path / "home"))
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))
    return home


@pytest.fixture
def data(tmp_path):
    """A directory with a Parquet file of many row groups, and one below it."""
    root = tmp_path / "data"
    (root / "more").mkdir(parents=True)
    pq.write_table(TABLE.slice(0, 1_000), root / "a.parquet", row_group_size=100)
    pq.write_table(TABLE.slice(1_000), root / "more" / "b.parquet")
    (root / "_SUCCESS").touch()
    (root / ".hidden.csv").write_text("x\n1\n")
    return root


def small_parts(root):
    from cloister.detect.cluster import parts_of, table_files

    return parts_of(table_files(root), root, part_bytes=3_000)


def job_of(home, parts):
    return job_for(home, load_policy(home), parts, None)


def test_parts_keep_names_and_cut_parquet_between_row_groups(data):
    parts = small_parts(data)
    assert [part.target for part in parts][-1] == "more/b.parquet"
    assert len(parts) > 3
    groups = [group for part in parts[:-1] for group in part.row_groups]
    assert groups == list(range(10))


def test_parts_masked_one_by_one_are_the_table_masked_whole(home, data, tmp_path):
    parts = small_parts(data)
    job = job_of(home, parts)
    held = classify_parts(parts, job, progress=silent)
    assert held.rows == ROWS
    assert [f.entity_type for f in held.findings][1] == "US_SSN"
    told = []
    rows = mask_parts(
        parts, tmp_path / "out", held.findings, job, progress=lambda *now: told.append(now)
    )
    assert rows == ROWS
    assert told[-1][0] == told[-1][1] == sum(part.size for part in parts)
    expected = table_masking(home, load_policy(home), held.findings)(TABLE)
    got = [read_table(tmp_path / "out" / part.target) for part in parts]
    assert pa.concat_tables(got).to_pydict() == expected.to_pydict()
    assert not list(tmp_path.glob(".*.part"))


def test_what_is_sent_holds_no_key_and_no_value(home, data):
    parts = small_parts(data)
    job = job_of(home, parts)
    results = []

    def spy(work, parts):
        sent.append(pickle.dumps((work, parts)))
        for result in in_this_process(work, parts):
            results.append(result)
            yield result

    sent = []
    classify_parts(parts, job, spy, progress=silent)
    keyring = open_keyring(home)
    for secret in (keyring.token_key, keyring.index_key, job.sealing_key(), b"219-10-1000"):
        for message in (*sent, *results):
            assert secret not in message
            assert secret.hex().encode() not in message


def test_a_worker_without_the_workspace_refuses_and_makes_none(home, data, tmp_path):
    parts = small_parts(data)
    missing = WorkspaceJob(str(tmp_path / "nowhere"), "0" * 64, ())
    with pytest.raises(CloisterError) as caught:
        mask_parts(parts, tmp_path / "out", (), missing, progress=silent)
    assert caught.value.code == "CLO-HOME-003"
    assert not (tmp_path / "nowhere").exists()
    assert not (tmp_path / "out").exists()
    other = WorkspaceJob(str(home.root), "0" * 64, ())
    with pytest.raises(CloisterError) as caught:
        mask_parts(parts, tmp_path / "out", (), other, progress=silent)
    assert caught.value.code == "CLO-CLUSTER-006"


def test_files_of_different_columns_are_no_one_table(home, data):
    pq.write_table(pa.table({"other": [1]}), data / "c.parquet")
    parts = small_parts(data)
    with pytest.raises(CloisterError) as caught:
        classify_parts(parts, job_of(home, parts), progress=silent)
    assert caught.value.code == "CLO-CLUSTER-001"


def test_an_unexpected_failure_says_its_kind_and_not_its_text(home, data):
    def fails(work, parts):
        return [work(part) for part in parts]

    class Broken(WorkspaceJob):
        def classifier(self, names):
            raise LookupError("219-10-1000")

    parts = small_parts(data)
    with pytest.raises(CloisterError, match="LookupError") as caught:
        classify_parts(parts, Broken(str(home.root), "", ()), fails, progress=silent)
    assert "219-10-1000" not in str(caught.value)


def test_a_failed_part_leaves_no_directory(home, data, tmp_path):
    parts = small_parts(data)
    job = job_of(home, parts)
    held = classify_parts(parts, job, progress=silent)
    (data / "more" / "b.parquet").write_bytes(b"nothing")
    with pytest.raises(CloisterError):
        mask_parts(parts, tmp_path / "out", held.findings, job, progress=silent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "home"]


def test_lowered_labels_hold_when_all_files_are_of_the_one_dataset(home, data, tmp_path):
    catalog = Catalog(home)
    catalog.add("parts", data, owner="maya")
    catalog.label(
        "parts", "ssn", Level.PUBLIC, by="maya", found=Level.RESTRICTED, reason="part numbers"
    )
    parts = small_parts(data)
    held = classify_parts(parts, job_of(home, parts), progress=silent)
    assert held.findings[1].level is Level.PUBLIC
    catalog.add("aside", data / "more", owner="bob")
    held = classify_parts(parts, job_of(home, parts), progress=silent)
    assert held.findings[1].level is Level.RESTRICTED


def test_the_command_masks_a_directory(home, data, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(["mask", str(data), str(out), "--json"]) == 0
    assert SSNS[0] not in capsys.readouterr().out
    assert sorted(p.name for p in out.rglob("*.parquet")) == ["a.parquet", "b.parquet"]
    assert run(["classify", str(data), "--json"]) == 1
    assert run(["mask", str(data), str(out), "--json"]) == 2, "it exists"
    assert run(["mask", str(data), str(data / "in"), "--json"]) == 2, "it lies in IN"
    assert run(["mask", str(tmp_path / "no"), str(tmp_path / "o"), "--engine", "ray"]) == 2
    (tmp_path / "empty").mkdir()
    assert run(["classify", str(tmp_path / "empty"), "--json"]) == 2


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of two nodes with one CPU each; nothing about it leaves this machine."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    store = {"num_cpus": 1, "object_store_memory": 80 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**store, "include_dashboard": False})
    cluster.add_node(**store)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.timeout(420)  # two nodes start, on a machine that runs other tests
def test_two_workers_of_a_ray_cluster_make_the_same_copy(home, data, tmp_path, cluster):
    from cloister.detect.rayengine import MaskRows, RayEngine

    parts = small_parts(data)
    job = job_of(home, parts)
    engine = RayEngine(cluster.address)
    assert len([node for node in __import__("ray").nodes() if node["Alive"]]) == 2
    held = classify_parts(parts, job, engine, progress=silent)
    here = classify_parts(parts, job, progress=silent)
    assert held == here
    assert mask_parts(parts, tmp_path / "ray", held.findings, job, engine, progress=silent) == ROWS
    mask_parts(parts, tmp_path / "plain", held.findings, job, progress=silent)
    for part in parts:
        assert read_table(tmp_path / "ray" / part.target).equals(
            read_table(tmp_path / "plain" / part.target)
        )
    # What goes wrong on a worker comes back as the error that it is.
    missing = WorkspaceJob(str(tmp_path / "nowhere"), "0" * 64, ())
    with pytest.raises(CloisterError) as caught:
        mask_parts(parts, tmp_path / "no", held.findings, missing, engine, progress=silent)
    assert caught.value.code == "CLO-HOME-003"
    # Rows that are in a Ray dataset already.
    import ray.data

    masked = ray.data.from_arrow(TABLE).map_batches(
        MaskRows, fn_constructor_args=(job, held.findings), batch_format="pyarrow", concurrency=1
    )
    expected = table_masking(home, load_policy(home), held.findings)(TABLE)
    assert sorted(row["ssn"] for row in masked.take_all()) == sorted(expected["ssn"].to_pylist())
    # The command, on the cluster that this process is connected to.
    code = run(
        ["mask", str(data), str(tmp_path / "cli"), "--engine", "ray", "--address",
         cluster.address, "--workers", "2", "--json"]
    )  # fmt: skip
    assert code == 0
    assert read_table(tmp_path / "cli" / "more" / "b.parquet").equals(
        read_table(tmp_path / "plain" / "more" / "b.parquet")
    )


def test_no_cluster_at_the_address_is_said(home):
    ray = pytest.importorskip("ray")
    if ray.is_initialized():
        ray.shutdown()
    from cloister.detect.rayengine import RayEngine

    with pytest.raises(CloisterError) as caught:
        RayEngine("127.0.0.1:1")
    assert caught.value.code == "CLO-CLUSTER-005"


def test_parts_at_a_path_that_is_not_there(tmp_path):
    with pytest.raises(CloisterError) as caught:
        parts_at(tmp_path / "nothing.csv")
    assert caught.value.code == "CLO-CLUSTER-007"
