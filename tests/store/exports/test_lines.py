"""Formats of lines: what a record's texts hold never begins a line or a field, and proofs hold."""

import io
import json
import re

import pytest
from cloister.store.checkpoint import Verifier
from cloister.store.exports import cef
from cloister.store.exports.jsonl import verify_jsonl
from cloister.store.exports.view import Event
from exportedrecord import HOSTILE, cell, everything
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema


@pytest.fixture
def verify(keyring):
    verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
    return lambda data: verify_jsonl(io.BytesIO(data), verifier)[0]


@pytest.mark.parametrize("name", ["jsonl", "openlineage", "ocsf", "cef"])
def test_no_text_of_a_record_begins_a_line(exports, name):
    data = exports.written(name)
    text = data.decode("utf-8")
    # Not by any reading of "line", and nothing that a terminal obeys.
    assert text.splitlines() == text.split("\n")[:-1]
    assert all(c.isprintable() for c in text.replace("\n", ""))
    start = re.compile(r"<\d+>1 \d{4}-" if name == "cef" else r"\{.*\}$")
    assert all(start.match(line) for line in text.splitlines())


# --- JSON lines with proofs -----------------------------------------------------------------------


def test_json_lines_prove_each_event(exports, verify):
    data = exports.written("jsonl")
    report = verify(data)
    assert (report.ok, report.events) == (True, len(everything()))
    first, *events, last = map(json.loads, data.splitlines())
    assert first["format"] == "cloister-jsonl-v1"
    assert last == {"events": len(events)}
    assert all(json.loads(event["header"])["seq"] == event["seq"] for event in events)


def test_a_part_of_the_record_is_proved_against_the_whole(exports, verify):
    report = verify(exports.written("jsonl", user="bob"))
    assert (report.ok, report.events) == (True, 2)


def _changed(line):
    return line.replace(b'\\"user\\":\\"bob\\"', b'\\"user\\":\\"eve\\"')


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda lines: [*lines[:3], *map(_changed, lines[3:])], "is not in the log"),
        (lambda lines: [*lines[:4], *lines[5:]], "cut off, or lines are missing"),
        (lambda lines: lines[:-1], "cut off, or lines are missing"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "stands behind a later one"),
        (lambda lines: [*lines, lines[-2]], "something follows"),
        (lambda lines: [*lines[:3], b"[]"], "line 4 is none of"),
        (lambda lines: [*lines[:2], b"[" * 200_000], "line 3 is none of"),
        (lambda lines: [lines[0], lines[1].replace(b'"seq":0', b'"seq":1e999')], "line 2 is none"),
        (lambda lines: [re.sub(rb"\\n\d+\\n", rb"\\n3\\n", lines[0]), *lines[1:]], "not signed"),
        (lambda lines: [lines[0], re.sub(rb'"time":"2', b'"time":"1', lines[1]), *lines[2:]],
         "is not in the log"),
        (lambda lines: [lines[0], lines[1].replace(b'"leaf":"', b'"leaf":"0'), *lines[2:]],
         "is not in the log"),
    ],
)  # fmt: skip
def test_damage_to_json_lines_is_found(exports, verify, damage, problem):
    report = verify(b"\n".join(damage(exports.written("jsonl").splitlines())) + b"\n")
    assert not report.ok
    assert problem in report.problems[0]


def test_one_event_more_while_it_is_written_is_left_out(exports, home):
    from cloister.store.evidence.reader import EvidenceReader

    with EvidenceReader(home) as reader:
        view = exports.view(reader)
        exports.append(cell("later"))
        assert len(list(view.events())) == len(everything())


# --- CEF ------------------------------------------------------------------------------------------


def _fields(line):
    """Reads the extension as ArcSight's format has it."""
    header, extension = re.search(r"CEF:0((?:\|(?:[^|\\]|\\.)*){6})\|(.*)$", line).groups()
    parts = re.split(r"(?:^| )([A-Za-z0-9]+)(?<!\\)=", extension)
    fields = {k: re.sub(r"\\(.)", r"\1", v) for k, v in zip(parts[1::2], parts[2::2], strict=True)}
    assert len(fields) == len(parts) // 2  # no key twice
    return [part.replace("\\|", "|") for part in re.split(r"(?<!\\)\|", header)[1:]], fields


def test_cef_lines_have_the_fields_that_were_meant(exports):
    lines = exports.written("cef").decode().splitlines()
    assert len(lines) == len(everything())
    header, fields = _fields(lines[5])  # the intent of the hostile cell
    assert header[:2] == ["Cloister", "Cloister"]
    assert fields["suser"].startswith("x\ufffd\ufffd")
    assert fields["suser"].endswith('suser=root cs9=\\n|" {}\ufffd\ufffd\ufffd\\')
    assert set(fields) <= {"rt", "externalId", "suser", "filePath", *(
        f"cs{i}{label}" for i in range(1, 7) for label in ("", "Label"))}  # fmt: skip
    assert fields["externalId"] == "5"
    denied = _fields(lines[4])[1]
    assert (denied["act"], denied["dhost"], denied["dpt"]) == ("deny", "10.0.0.1", "443")
    assert lines[4].startswith("<108>1 ")  # facility log audit, warning
    assert lines[0].startswith("<109>1 ")  # notice
    result = _fields(lines[2])[1]
    assert (result["cn2Label"], result["cn2"]) == ("masked", "1")


def test_what_stands_in_the_header_of_cef_is_escaped(monkeypatch):
    event = Event(1, 0, "a|b\\c\n<86>1", b'{"body":{}}')
    said = cef.line(event, "log name\n", "1|2")
    header, _ = _fields(said)
    assert header[3] == "a|b\\\\c\ufffd<86>1"
    assert said.startswith("<109>1 1970-01-01T00:00:00.000000Z log-name- cloister - ")
    assert len(said.splitlines()) == 1


# --- OCSF -----------------------------------------------------------------------------------------


def test_ocsf_events_fit_the_published_schema(exports):
    from jsonschema import Draft202012Validator

    schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.6.0"))
    events = [json.loads(line) for line in exports.written("ocsf").splitlines()]
    validators = {}
    for event in events:
        profiles = tuple(event["metadata"].get("profiles", ()))
        key = event["class_uid"], profiles
        if key not in validators:
            name = schemas.lookup_class_name_from_uid(event["class_uid"])
            schema = schemas.get_class_schema(name, list(profiles))
            validators[key] = Draft202012Validator(schema)
        assert [e.message for e in validators[key].iter_errors(event)] == []
    classes = {event["class_uid"] for event in events}
    assert classes == {0, 1009, 2006, 3004, 4001, 6005, 6006}
    # The schema is in force: without its time an event does not fit.
    script = next(event for event in events if event["class_uid"] == 1009)
    del script["time"]
    assert list(validators[1009, ()].iter_errors(script))


def test_ocsf_says_who_ran_what_and_what_was_denied(exports):
    events = [json.loads(line) for line in exports.written("ocsf").splitlines()]
    scripts = [event for event in events if event["class_uid"] == 1009]
    assert [s["status"] for s in scripts] == ["ok", "error", "aborted", "unfinished", "unfinished"]
    assert scripts[0]["actor"] == {"user": {"name": "ann"}}
    assert scripts[0]["script"]["hashes"][0]["value"] == "ab" * 32
    network = [event for event in events if event["class_uid"] == 4001]
    assert [n["disposition_id"] for n in network] == [1, 2, 2]
    assert network[2]["dst_endpoint"] == {"ip": "10.0.0.1", "port": 443}
    reads = [e["database"]["name"] for e in events if e["class_uid"] == 6005]
    assert reads[:2] == ["patients", "/w/notes.csv"]


# --- OpenLineage ----------------------------------------------------------------------------------


def _rebuilt(event):
    """The same event made by the official client's own classes, which check what they are given."""
    from openlineage.client import event_v2
    from openlineage.client.generated import (
        column_lineage_dataset,
        dataset_version_dataset,
        error_message_run,
        job_type_job,
        schema_dataset,
    )
    from openlineage.client.generated.base import DatasetFacet, RunFacet

    known = {
        "columnLineage": column_lineage_dataset.ColumnLineageDatasetFacet,
        "version": dataset_version_dataset.DatasetVersionDatasetFacet,
        "schema": schema_dataset.SchemaDatasetFacet,
        "jobType": job_type_job.JobTypeJobFacet,
        "errorMessage": error_message_run.ErrorMessageRunFacet,
    }

    def facet(name, value, base):
        said = {k: v for k, v in value.items() if not k.startswith("_")}
        if name not in known:
            return base(producer=value["_producer"]).with_additional_properties(**said)
        if name == "columnLineage":
            fields = {
                column: column_lineage_dataset.Fields(
                    [column_lineage_dataset.InputField(**source) for source in by["inputFields"]]
                )
                for column, by in said["fields"].items()
            }
            said["fields"] = fields
        if name == "schema":
            said["fields"] = [schema_dataset.SchemaDatasetFacetFields(**f) for f in said["fields"]]
        made = known[name](**said, producer=value["_producer"])
        assert made._schemaURL == value["_schemaURL"]
        return made

    def dataset(kind, value):
        facets = {n: facet(n, f, DatasetFacet) for n, f in value["facets"].items()}
        return kind(namespace=value["namespace"], name=value["name"], facets=facets)

    run, job = event["run"], event["job"]
    return event_v2.RunEvent(
        eventTime=event["eventTime"],
        eventType=event_v2.RunState[event["eventType"]],
        producer=event["producer"],
        run=event_v2.Run(
            run["runId"], {n: facet(n, f, RunFacet) for n, f in run["facets"].items()}
        ),
        job=event_v2.Job(
            job["namespace"], job["name"], {n: facet(n, f, None) for n, f in job["facets"].items()}
        ),
        inputs=[dataset(event_v2.InputDataset, value) for value in event["inputs"]],
        outputs=[dataset(event_v2.OutputDataset, value) for value in event["outputs"]],
    )


def test_openlineage_events_are_what_the_official_client_would_send(exports):
    from openlineage.client.serde import Serde

    for line in exports.written("openlineage").splitlines():
        event = json.loads(line)
        said = json.loads(Serde.to_json(_rebuilt(event)))
        assert said["schemaURL"] == event["schemaURL"]
        assert (said["run"]["runId"], said["eventType"]) == (
            event["run"]["runId"],
            event["eventType"],
        )
        for kind in ("inputs", "outputs"):
            for ours, theirs in zip(event[kind], said.get(kind, []), strict=True):
                assert ours["facets"].keys() == theirs["facets"].keys()


def test_openlineage_runs_begin_and_end(exports):
    events = [json.loads(line) for line in exports.written("openlineage").splitlines()]
    assert [event["eventType"] for event in events] == [
        "START", "COMPLETE", "START", "FAIL", "START", "ABORT", "ABORT", "START",
    ]  # fmt: skip
    assert events[0]["run"]["runId"] == events[1]["run"]["runId"] != events[2]["run"]["runId"]
    assert events[1]["job"]["name"] == events[0]["job"]["name"] == "a.ipynb"
    patients, notes = events[1]["inputs"]
    assert patients["name"] == "patients"
    assert patients["facets"]["schema"]["fields"] == [{"name": "age"}, {"name": "bmi"}]
    assert (notes["namespace"], notes["name"]) == ("file", "/w/notes.csv")
    table, shown = events[1]["outputs"]
    risk = table["facets"]["columnLineage"]["fields"]
    assert risk == {
        "risk": {
            "inputFields": [
                {"namespace": patients["namespace"], "name": "patients", "field": "age"},
                {"namespace": "file", "name": "/w/notes.csv", "field": "note"},
                {"namespace": patients["namespace"], "name": "older", "field": "x"},
                {"namespace": "file", "name": "/w/old.csv", "field": "y"},
            ]
        }
    }
    assert shown["facets"]["cloister_output"]["forms"][0]["mimeType"] == "text/plain"
    assert events[3]["run"]["facets"]["errorMessage"]["programmingLanguage"] == "PYTHON"
    assert "\ud800" not in json.dumps(events, ensure_ascii=False)
    assert HOSTILE.encode("utf-8", "replace").decode() != events[2]["job"]["name"]
