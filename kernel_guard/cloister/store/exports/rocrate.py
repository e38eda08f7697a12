"""An RO-Crate for a research archive: a zip file with ``ro-crate-metadata.json`` and the proofs.

Profile: Process Run Crate 0.5 (w3id.org/ro/wfrun/process/0.5). Each cell is a ``CreateAction``
whose instrument is its notebook, whose objects are what it read and whose result is what it showed.
Data, code and outputs stay where they are; ``record.jsonl`` has the headers with their proofs, so
that what the crate says can be verified.
"""

from __future__ import annotations

import zipfile
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import quote

from cloister.store.executions import iso_time
from cloister.store.exports import facts
from cloister.store.exports.cells import cells
from cloister.store.exports.jsonl import JsonLines
from cloister.store.exports.product import NAME, URL, product_version
from cloister.store.exports.sections import Sections, dumps

if TYPE_CHECKING:
    from cloister.store.exports.cells import Cell
    from cloister.store.exports.view import RecordView

_PROFILE: Final = "https://w3id.org/ro/wfrun/process/0.5"
_RECORD: Final = "record.jsonl"
_STATUS: Final = {
    "ok": "http://schema.org/CompletedActionStatus",
    "unfinished": "http://schema.org/PotentialActionStatus",
}
_FAILED: Final = "http://schema.org/FailedActionStatus"


class RoCrate:
    """See the module."""

    suffix = ".crate.zip"
    is_stream = False

    def write(self, view: RecordView, out: IO[bytes]) -> int:
        """Writes the crate."""
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            with archive.open(zipfile.ZipInfo(_RECORD), "w", force_zip64=True) as member:
                count = JsonLines().write(view, member)
            with Sections(("graph", "actions"), is_object=False) as document:
                crate = _Crate(document)
                for cell in cells(view.events()):
                    crate.add(cell)
                with archive.open(
                    zipfile.ZipInfo("ro-crate-metadata.json"), "w", force_zip64=True
                ) as member:
                    _write_metadata(member, document, view, crate.newest_us)
        return count


def _write_metadata(out: IO[bytes], document: Sections, view: RecordView, newest_us: int) -> None:
    out.write(b'{"@context":["https://w3id.org/ro/crate/1.1/context",')
    out.write(b'"https://w3id.org/ro/terms/workflow-run/context"],"@graph":[')
    out.write(b",\n".join(dumps(entity) for entity in _fixed(view)))
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": "Record of a Cloister workspace",
        "description": "What was executed, read, shown and sent, with proofs. No data, no code.",
        "datePublished": iso_time(newest_us),
        "license": _reference("#licence"),
        "conformsTo": [_reference(_PROFILE)],
        "hasPart": [_reference(_RECORD)],
    }
    # The list of actions is as long as the record: it is copied in, not built.
    out.write(b",\n" + dumps(root)[:-1] + b',"mentions":[')
    document.copy("actions", out)
    out.write(b"]},\n")
    if document.copy("graph", out):
        out.write(b",\n")
    out.write(dumps(_software()) + b"]}\n")


def _fixed(view: RecordView) -> list[dict[str, Any]]:
    return [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": _reference("./"),
            "conformsTo": _reference("https://w3id.org/ro/crate/1.1"),
        },
        {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        {
            "@id": "#licence",
            "@type": "CreativeWork",
            "name": "None given",
            "description": "Ask the owner of the workspace before you pass this on.",
        },
        {
            "@id": _RECORD,
            "@type": "File",
            "name": "Headers of the record with inclusion proofs (RFC 9162)",
            "encodingFormat": "application/jsonl",
            "description": f"Verify with: cloister lineage verify {_RECORD} --key KEY. "
            f"Public key of the log {view.origin}: {view.public_key}",
        },
    ]


def _software() -> dict[str, Any]:
    version = product_version()
    return {
        "@id": "#cloister",
        "@type": "SoftwareApplication",
        "name": NAME,
        "url": URL,
        "version": version,
        "softwareVersion": version,
    }


class _Crate:
    """Collects entities and the list of actions."""

    def __init__(self, document: Sections) -> None:
        self._document = document
        self.newest_us = 0

    def add(self, cell: Cell) -> None:
        self.newest_us = max(self.newest_us, cell.event.time_us)
        action: dict[str, Any] = {
            "@id": f"#execution-{cell.event.seq}",
            "@type": "CreateAction",
            "name": f"Cell of {cell.notebook}",
            "instrument": _reference(self._notebook(cell)),
            "actionStatus": _STATUS.get(cell.status, _FAILED),
            "identifier": facts.clean(cell.id),
            "description": f"Event {cell.event.seq} of the record, leaf {cell.event.leaf.hex()}",
        }
        if cell.intent is not None:
            action["startTime"] = cell.intent.time
        if cell.result is not None:
            started = cell.intent.time_us if cell.intent else 0
            action["endTime"] = iso_time(max(cell.result.time_us, started))
        if action["actionStatus"] == _FAILED:
            action["error"] = f"The cell ended with the status {cell.status}."
        if cell.user is not None:
            person = f"#person-{_quoted(cell.user)}"
            self._once({"@id": person, "@type": "Person", "name": cell.user})
            action["agent"] = _reference(person)
        reads = [self._read(read) for read in facts.objects(cell.done, "reads")]
        objects = [_reference(name) for name in dict.fromkeys(filter(None, reads))]
        if objects:
            action["object"] = objects
        if sum(facts.counts(cell.done).values()):
            action["result"] = [_reference(self._outputs(cell))]
        self._document.add("graph", action["@id"], action)
        self._document.add("actions", action["@id"], _reference(action["@id"]))

    def _notebook(self, cell: Cell) -> str:
        name = f"#notebook-{_quoted(cell.notebook)}"
        self._once(
            {
                "@id": name,
                "@type": "SoftwareSourceCode",
                "name": cell.notebook,
                "description": "A Jupyter notebook, run in a guarded kernel.",
                "isPartOf": _reference("#cloister"),
            }
        )
        return name

    def _read(self, read: dict[str, Any]) -> str | None:
        name = facts.read_name(read)
        if name is None:
            return None
        version = facts.fingerprint(read)
        identifier = f"#data-{_quoted(name)}" + (f"-{_quoted(version)}" if version else "")
        entity = {
            "@id": identifier,
            "@type": "CreativeWork",
            "name": name,
            "description": "Data that was read; it is not in this crate.",
        }
        self._once(entity | ({"version": version} if version else {}))
        return identifier

    def _outputs(self, cell: Cell) -> str:
        counts = facts.counts(cell.done)
        identifier = f"#outputs-{cell.event.seq}"
        entity: dict[str, Any] = {
            "@id": identifier,
            "@type": "CreativeWork",
            "name": f"Outputs of a cell of {cell.notebook}",
            "description": ", ".join(f"{count} {name}" for name, count in counts.items()),
        }
        digests = facts.output_digests(cell.done)
        if digests:
            entity["identifier"] = digests
        self._document.add("graph", identifier, entity)
        return identifier

    def _once(self, entity: dict[str, Any]) -> None:
        self._document.add_once("graph", entity["@id"], entity)


def _reference(identifier: str) -> dict[str, str]:
    return {"@id": identifier}


def _quoted(value: str) -> str:
    return quote(value, safe="")
