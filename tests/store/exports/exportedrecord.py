"""A record with everything that exports read, written by hostile hands, and what exports it."""

import io

from cloister.core.records import Record
from cloister.store.evidence.reader import EvidenceReader
from cloister.store.exports.exporter import exporter
from cloister.store.exports.view import Criteria, RecordView
from cloister.store.lineage import LineageLog

CODE = b"CODE-OF-A-CELL"
BREAKS = "\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
HOSTILE = f'x{BREAKS}<86>1 - - - CEF:0|Evil|\x1b[2J\u202e\0 suser=root cs9=\\n|" {{}}\ud800\\'
"""Begins a line in every reading of "line", a field of CEF, and what a terminal obeys."""


def cell(name, *, user="ann", notebook="a.ipynb", status="ok", reads=(), **more):
    intent = {
        "execution_id": name, "kernel_id": "k1", "user": user, "notebook": notebook,
        "code_sha256": "ab" * 32, "trace_id": "cd" * 16, "attested_by": "sidecar",
    }  # fmt: skip
    result = {
        "execution_id": name, "kernel_id": "k1", "status": status, "duration_us": 1_500_000,
        "execution_count": 7, "outputs": {"shown": 1, "masked": 1, "blocked": 0},
        "output_digests": ["ef" * 32], "reads": list(reads), "egress": [],
        "labels": ["US_SSN"], "attested_by": "sidecar", **more,
    }  # fmt: skip
    return [Record("cell.intent", intent, CODE), Record("cell.result", result, CODE)]


def connection(name, decision, host):
    kind = "egress.allowed" if decision == "allow" else "egress.denied"
    fact = {"host": host, "port": 443, "decision": decision, "rule": "egress.allow[0]",
            "bytes_out": 10, "bytes_in": 20, "phase": "closed", "attested_by": "proxy"}  # fmt: skip
    return Record(kind, {"execution_id": name, "kernel_id": "k1", **fact})


PATIENTS = {
    "dataset": "patients",
    "path": "/data/patients.csv",
    "columns": [{"column": "age", "level": "internal"}, {"column": "bmi"}],
    "sha256": "12" * 32,
    "level": "restricted",
    "attested_by": "sidecar",
}
FRAME = {
    "name": "df",
    "kind": "pandas",
    "columns": [
        {
            "column": "risk",
            "from": ["age of patients", "note of notes.csv", "x of older", "y of old.csv"],
        },
        {"column": "row", "from": []},
    ],
}


def everything():
    intent, result = cell(
        "one",
        reads=[PATIENTS, {"path": "/w/notes.csv"}],
        frames=[FRAME],
        sources=[{"source": "/w/old.csv"}, {"source": "patients"}],
        displayed=[{"kind": "stream", "forms": [{"type": "text/plain", "sha256": "56" * 32}]}],
    )
    hostile = cell(HOSTILE, user=HOSTILE, notebook=HOSTILE, reads=[{"path": HOSTILE}],
                   status="error", outputs={"shown": 0, "masked": 0, "blocked": 2})  # fmt: skip
    return [
        intent,
        connection("one", "allow", "api.example.org"),
        result,
        connection(HOSTILE, "deny", HOSTILE),
        connection(None, "deny", "10.0.0.1"),
        *hostile,
        *cell("two", user="bob", notebook="b.ipynb", status="aborted"),
        Record("policy.applied", {"user": "ann", "policy": "team", "policy_digest": "34" * 32}),
        Record("catalog.owned", {"user": "ann", "dataset": HOSTILE}),
        Record("file.leaving", {"user": "ann", "file": f"out/{HOSTILE}", "outcome": "block"}),
        Record("drill.started", {"user": HOSTILE, "cases": 3}),
        # Fields of another type than a reader of this version expects.
        Record(
            "cell.result",
            {
                "execution_id": 5,
                "reads": "no list",
                "outputs": [],
                "labels": 1,
                "frames": [3, {"columns": [{"from": [4]}]}],
                "parents": [None],
            },
        ),
        Record("egress.denied", {"host": 7, "port": "x"}),
        cell("never-ended")[0],
    ]


class Exports:
    """The record of one home, ready to be exported."""

    def __init__(self, home, keyring):
        self.home, self.keyring = home, keyring

    def append(self, records):
        with LineageLog(self.home, self.keyring) as log:
            return log.append(records)

    def view(self, reader, **criteria):
        return RecordView(
            reader,
            reader.head(),
            origin=self.keyring.key_name,
            public_key=self.keyring.verifier_line,
            criteria=Criteria(**criteria),
        )

    def written(self, name, **criteria):
        out = io.BytesIO()
        with EvidenceReader(self.home) as reader:
            exporter(name).write(self.view(reader, **criteria), out)
        assert CODE not in out.getvalue()
        return out.getvalue()
