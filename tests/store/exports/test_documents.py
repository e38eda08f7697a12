"""PROV-JSON, RO-Crate and Parquet, each read by the library that others read it with."""

import io
import json
import weakref
import zipfile

import pyarrow.parquet as pq
import pytest
from cloister.store.checkpoint import Verifier
from cloister.store.evidence.reader import EvidenceReader
from cloister.store.exports.exporter import FORMATS, exporter
from cloister.store.exports.jsonl import verify_jsonl
from cloister.store.exports.parquet import parquet_schema
from cloister.store.exports.view import RecordView
from cloister.store.merkle import leaf_hash
from exportedrecord import PATIENTS, cell, everything
from prov.model import ProvActivity, ProvDocument, ProvUsage
from rocrate.rocrate import ROCrate

# --- PROV-JSON ------------------------------------------------------------------------------------


def test_prov_json_is_read_by_the_prov_package(exports):
    data = exports.written("prov-json")
    document = ProvDocument.deserialize(content=data.decode(), format="json")
    activities = list(document.get_records(ProvActivity))
    assert len(activities) == 5
    first = next(a for a in activities if str(a.label) == "a.ipynb")
    assert first.get_startTime() <= first.get_endTime()
    assert len(list(document.get_records(ProvUsage))) == 3
    # It says nothing twice in different ways, and reads the same after another writing.
    assert document.unified() == document
    again = ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    assert again == document


def test_prov_json_names_everything_that_it_relates(exports):
    said = json.loads(exports.written("prov-json"))
    for relations in ("used", "wasGeneratedBy", "wasAssociatedWith", "wasDerivedFrom"):
        assert said[relations]
        for relation in said[relations].values():
            for key, name in relation.items():
                kind = {"prov:activity": "activity", "prov:agent": "agent"}.get(key, "entity")
                if key.startswith("prov:"):
                    assert name in said[kind]
    assert all(name.isascii() for name in said["entity"])


def test_prov_json_joins_cells_by_what_they_used_of_each_other(exports):
    exports.append(cell("three", parents=[{"parent": "one", "names": ["df"]}]))
    said = json.loads(exports.written("prov-json"))
    (relation,) = said["wasInformedBy"].values()
    informant = said["activity"][relation["prov:informant"]]
    assert informant["cloister:executionId"] == "one"


def test_a_dataset_is_one_entity_however_often_it_is_read(exports):
    read = {"dataset": "claims", "sha256": "a" * 64}
    for i in range(5):
        exports.append(cell(f"again-{i}", reads=[read]))
    changed = {"dataset": "claims", "sha256": "b" * 64}
    exports.append(cell("changed", reads=[changed]))
    entities = json.loads(exports.written("prov-json"))["entity"].values()
    assert sum(entity["prov:label"] == "claims" for entity in entities) == 2


# --- RO-Crate -------------------------------------------------------------------------------------


def test_the_crate_is_a_process_run_crate(exports, keyring, tmp_path):
    with zipfile.ZipFile(io.BytesIO(exports.written("ro-crate"))) as archive:
        archive.extractall(tmp_path / "crate")
    crate = ROCrate(tmp_path / "crate")
    root = crate.root_dataset
    profiles = root["conformsTo"]
    profiles = profiles if isinstance(profiles, list) else [profiles]
    assert "https://w3id.org/ro/wfrun/process/0.5" in [p.id for p in profiles]
    for key in ("name", "description", "datePublished", "license"):
        assert root[key]
    actions = root["mentions"]
    assert len(actions) == 5
    by_name = {action["name"]: action for action in actions}
    action = next(a for a in actions if a["name"] == "Cell of a.ipynb" and a.get("object"))
    assert action.type == "CreateAction"
    assert action["instrument"].type == "SoftwareSourceCode"
    assert action["agent"]["name"] == "ann"
    assert [o["name"] for o in action["object"]] == ["patients", "/w/notes.csv"]
    assert action["startTime"] <= action["endTime"]
    assert action["actionStatus"] == "http://schema.org/CompletedActionStatus"
    failed = by_name["Cell of b.ipynb"]
    assert failed["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert failed["error"]
    # Every reference in the graph is to something that the crate describes.
    graph = json.loads((tmp_path / "crate" / "ro-crate-metadata.json").read_bytes())["@graph"]
    known = {entity["@id"] for entity in graph}
    assert len(known) == len(graph)
    for entity in graph:
        for value in entity.values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict) and not item["@id"].startswith(
                    "https://w3id.org/ro/crate"
                ):
                    assert item["@id"] in known
    # And what it says can be proved.
    with (tmp_path / "crate" / "record.jsonl").open("rb") as stream:
        report, _ = verify_jsonl(stream, Verifier(keyring.key_name, keyring.public_key_bytes))
    assert (report.ok, report.events) == (True, len(everything()))


# --- Parquet --------------------------------------------------------------------------------------


def test_parquet_has_the_stated_schema_and_the_bytes_that_were_hashed(exports, keyring):
    table = pq.read_table(io.BytesIO(exports.written("parquet")))
    assert table.schema.equals(parquet_schema())
    assert table.num_rows == len(everything())
    for row in table.select(["leaf", "header"]).to_pylist():
        assert leaf_hash(row["header"]) == row["leaf"]
    rows = table.to_pylist()
    assert (rows[2]["status"], rows[2]["masked"], rows[2]["reads"]) == (
        "ok", 1, ["patients", "/w/notes.csv"],
    )  # fmt: skip
    assert rows[5]["user"].startswith("x\r\n")  # a column keeps what was said
    assert table.schema.metadata is None or b"cloister.checkpoint" in (
        pq.read_schema(io.BytesIO(exports.written("parquet"))).metadata
    )


def test_parquet_is_written_a_group_at_a_time(exports, monkeypatch):
    monkeypatch.setattr("cloister.store.exports.parquet._ROWS", 4)
    file = pq.ParquetFile(io.BytesIO(exports.written("parquet")))
    assert file.num_row_groups > 3
    assert file.metadata.num_rows == len(everything())


# --- memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_no_exporter_holds_more_events_than_it_is_writing(exports, home, monkeypatch, name):
    monkeypatch.setattr("cloister.store.exports.parquet._ROWS", 50)
    monkeypatch.setattr("cloister.store.exports.view._PROVED_TOGETHER", 50)
    exports.append([record for i in range(500) for record in cell(f"many-{i}", reads=[PATIENTS])])
    alive, most = weakref.WeakSet(), 0

    class Watched(RecordView):
        def events(self):
            nonlocal most
            for event in super().events():
                alive.add(event)
                most = max(most, len(alive))
                yield event

    with EvidenceReader(home) as reader:
        view = exports.view(reader)
        view.__class__ = Watched
        exporter(name).write(view, io.BytesIO())
    assert 0 < most < 120


# --- which events ---------------------------------------------------------------------------------


def test_events_are_chosen_by_what_their_execution_is_of(exports, home):
    with EvidenceReader(home) as reader:

        def chosen(**criteria):
            return [event.seq for event in exports.view(reader, **criteria).events()]

        assert chosen(notebook="a.ipynb") == [0, 1, 2, 15]
        assert chosen(user="bob") == [7, 8]
        assert chosen(executions=frozenset({"one"})) == [0, 1, 2]
        assert chosen(user="ann", executions=frozenset({"two"})) == []
        times = [event.time_us for event in exports.view(reader).events()]
        assert len(chosen(since_us=times[3])) == sum(time >= times[3] for time in times)
        assert chosen(until_us=times[0]) == []
        # A result counts for its notebook also when its intent is before the time.
        assert 2 in chosen(notebook="a.ipynb", since_us=times[0])
