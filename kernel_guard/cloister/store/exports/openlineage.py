"""OpenLineage run events, one a line, as its HTTP API and its clients take them.

A cell is a run of the job that its notebook is: ``START`` from its intent, ``COMPLETE``, ``FAIL``
or ``ABORT`` from its result. What it read are inputs. What it showed, and the tables that it made,
are outputs, with the facet ``columnLineage`` where the record knows which column came from which.
Events of a record that are no cells have no place in OpenLineage and are left out.
Specification: openlineage.io/spec/2-0-2.
"""

from __future__ import annotations

import uuid
from typing import IO, TYPE_CHECKING, Any, Final

from cloister.store.executions import INTENT
from cloister.store.exports import facts
from cloister.store.exports.cells import Cells
from cloister.store.exports.product import URL, product_version
from cloister.store.exports.sections import dumps

if TYPE_CHECKING:
    from cloister.store.exports.cells import Cell
    from cloister.store.exports.view import Event, RecordView

_SPEC: Final = "https://openlineage.io/spec/"
_RUN_EVENT: Final = f"{_SPEC}2-0-2/OpenLineage.json#/$defs/RunEvent"
_OUR_FACET: Final = f"{_SPEC}2-0-2/OpenLineage.json#/$defs/"
_SCHEMA: Final = "facets/1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet"
_COLUMNS: Final = "facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet"
_ENDS: Final = {"ok": "COMPLETE", "error": "FAIL"}
_NAMES: Final = uuid.UUID("9c0e4c2e-7f0f-5b52-8a3c-2d9c0f6c1f0a")
"""Namespace of run ids: the same execution of the same log has the same one in every export."""


class OpenLineage:
    """See the module."""

    suffix = ".jsonl"
    is_stream = True

    def write(self, view: RecordView, out: IO[bytes]) -> int:
        """Writes two lines for each cell."""
        events = _RunEvents(view.origin)
        cells = Cells()
        count = 0
        for event in view.events():
            cell = cells.take(event)
            if event.type == INTENT:
                out.write(dumps(events.started(event)) + b"\n")
                count += 1
            elif cell is not None:
                out.write(dumps(events.ended(cell)) + b"\n")
                count += 1
        return count


class _RunEvents:
    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._namespace = f"cloister://{origin}"
        self._producer = f"{URL}{product_version()}/"

    def started(self, event: Event) -> dict[str, Any]:
        notebook = facts.text(event.body, "notebook")
        name = notebook or f"kernel {facts.text(event.body, 'kernel_id') or 'unknown'}"
        return self._event("START", event, event.execution_id or f"event {event.seq}", name)

    def ended(self, cell: Cell) -> dict[str, Any]:
        assert cell.result is not None  # noqa: S101 - it has ended
        said = self._event(
            _ENDS.get(cell.status, "ABORT"), cell.result, cell.id, cell.notebook, cell.user
        )
        said["inputs"] = [
            self._input(read)
            for read in facts.objects(cell.done, "reads")
            if facts.read_name(read) is not None
        ]
        said["outputs"] = [self._table(cell, table) for table in facts.tables(cell.done)]
        if sum(facts.counts(cell.done).values()):
            said["outputs"].append(self._output(cell))
        if cell.status == "error":
            said["run"]["facets"]["errorMessage"] = self._facet(
                "facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
                # The text of an error can hold a value; it is in the encrypted payload.
                message="The cell ended with an error; its text is kept encrypted in the record.",
                programmingLanguage="PYTHON",
            )
        return said

    def _event(
        self, kind: str, event: Event, execution: str, notebook: str, user: str | None = None
    ) -> dict[str, Any]:
        body = event.body
        record: dict[str, Any] = {
            "seq": event.seq,
            "leaf": event.leaf.hex(),
            "executionId": facts.clean(execution),
            "user": user or facts.text(body, "user"),
            "kernelId": facts.text(body, "kernel_id"),
            "traceId": facts.text(body, "trace_id"),
            "codeSha256": facts.text(body, "code_sha256"),
            "policyDigest": facts.text(body, "policy_digest"),
            "status": facts.text(body, "status"),
            "labels": facts.texts(body, "labels"),
            "attestedBy": facts.text(body, "attested_by"),
        }
        job_type = self._facet(
            "facets/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
            processingType="BATCH",
            integration="JUPYTER",
            jobType="CELL",
        )
        return {
            "eventTime": event.time,
            "eventType": kind,
            "producer": self._producer,
            "schemaURL": _RUN_EVENT,
            "run": {
                "runId": self._run_id(execution),
                "facets": {
                    "cloister_record": self._own_facet(
                        "RunFacet", {k: v for k, v in record.items() if v not in (None, [])}
                    ),
                },
            },
            "job": {
                "namespace": self._namespace,
                "name": notebook,
                "facets": {"jobType": job_type},
            },
            "inputs": [],
            "outputs": [],
        }

    def _run_id(self, execution: str) -> str:
        return str(uuid.uuid5(_NAMES, facts.clean(f"{self._origin}/{execution}")))

    def _input(self, read: dict[str, Any]) -> dict[str, Any]:
        namespace, name = self._dataset(read)
        found: dict[str, Any] = {}
        columns = facts.columns(read)
        if columns:
            found["schema"] = self._facet(_SCHEMA, fields=[{"name": column} for column in columns])
        version = facts.fingerprint(read)
        if version:
            found["version"] = self._facet(
                "facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
                datasetVersion=version,
            )
        level, attested = facts.text(read, "level"), facts.text(read, "attested_by")
        own = {k: v for k, v in (("level", level), ("attestedBy", attested)) if v}
        if own:
            found["cloister_read"] = self._own_facet("DatasetFacet", own)
        return {"namespace": namespace, "name": name, "facets": found}

    def _output(self, cell: Cell) -> dict[str, Any]:
        shown: dict[str, Any] = dict(facts.counts(cell.done))
        forms = facts.displayed(cell.done)
        if forms:
            shown["forms"] = [{"mimeType": kind, "sha256": digest} for kind, digest in forms]
        return {
            "namespace": self._namespace,
            "name": f"{cell.notebook}/outputs of {facts.clean(cell.id)}",
            "facets": {"cloister_output": self._own_facet("DatasetFacet", shown)},
        }

    def _table(self, cell: Cell, table: facts.Table) -> dict[str, Any]:
        """Returns a table that stays in the kernel, as a dataset with its columns' lineage."""
        fields = {
            column: {"inputFields": [self._field(read, name) for read, name in origins]}
            for column, origins in table.columns.items()
            if origins
        }
        found = {
            "schema": self._facet(_SCHEMA, fields=[{"name": column} for column in table.columns])
        }
        if fields:
            found["columnLineage"] = self._facet(_COLUMNS, fields=fields)
        name = f"{cell.notebook}/table {table.name}"
        return {"namespace": self._namespace, "name": name, "facets": found}

    def _field(self, read: dict[str, Any], column: str) -> dict[str, Any]:
        namespace, name = self._dataset(read)
        return {"namespace": namespace, "name": name, "field": column}

    def _dataset(self, read: dict[str, Any]) -> tuple[str, str]:
        """Returns namespace and name: of the catalogue, or of a file as OpenLineage names them."""
        dataset = facts.text(read, "dataset")
        if dataset is not None:
            return self._namespace, dataset
        return "file", facts.text(read, "path") or "unknown"

    def _facet(self, schema: str, **fields: Any) -> dict[str, Any]:
        return {"_producer": self._producer, "_schemaURL": f"{_SPEC}{schema}", **fields}

    def _own_facet(self, base: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Returns a custom facet; its schema is that of the kind of facet that it is."""
        return {"_producer": self._producer, "_schemaURL": _OUR_FACET + base, **fields}
