"""W3C PROV-JSON: cells are activities, what they read and showed are entities, people are agents.

One document that repeats nothing: a dataset that a thousand cells read is one entity. Names of
people and files stand in labels; identifiers are made of digests and numbers, so that whatever
somebody called a file is a valid qualified name. Submission: w3.org/submissions/prov-json.
"""

from __future__ import annotations

import hashlib
from typing import IO, TYPE_CHECKING, Any, Final

from cloister.store.executions import iso_time
from cloister.store.exports import facts
from cloister.store.exports.cells import cells
from cloister.store.exports.product import URL
from cloister.store.exports.sections import Sections, dumps

if TYPE_CHECKING:
    from cloister.store.exports.cells import Cell
    from cloister.store.exports.view import RecordView

_SECTIONS: Final = (
    "entity", "activity", "agent", "used", "wasGeneratedBy", "wasAssociatedWith",
    "wasInformedBy", "wasDerivedFrom",
)  # fmt: skip


class ProvJson:
    """See the module."""

    suffix = ".json"
    is_stream = True

    def write(self, view: RecordView, out: IO[bytes]) -> int:
        """Writes one document."""
        count = 0
        with Sections(_SECTIONS, is_object=True) as document:
            graph = _Graph(document)
            for cell in cells(view.events()):
                graph.add(cell)
                count += 1
            graph.log(view)
            prefixes = {"cloister": f"{URL}#", "log": f"urn:cloister:{view.origin}:"}
            out.write(b'{"prefix":' + dumps(prefixes))
            for section in _SECTIONS:
                out.write(b',\n"%s":{' % section.encode())
                document.copy(section, out)
                out.write(b"}")
            out.write(b"}\n")
        return count


class _Graph:
    def __init__(self, document: Sections) -> None:
        self._document = document
        self._relations = 0

    def log(self, view: RecordView) -> None:
        """Adds the record itself, with the checkpoint that proves the rest."""
        self._document.add(
            "entity",
            "log:record",
            {
                "prov:label": "lineage log",
                "cloister:events": _typed(view.head.size, "xsd:long"),
                "cloister:checkpoint": view.head.note,
                "cloister:publicKey": view.public_key,
            },
        )

    def add(self, cell: Cell) -> None:
        activity = _activity(cell.id)
        self._document.add_once("activity", activity, _described(cell))
        if cell.user is not None:
            agent = f"log:person.{_digest(cell.user)}"
            person = {"prov:type": _typed("prov:Person", "prov:QUALIFIED_NAME"),
                      "prov:label": cell.user}  # fmt: skip
            self._document.add_once("agent", agent, person)
            self._relate("wasAssociatedWith", {"prov:activity": activity, "prov:agent": agent})
        used = [self._read(activity, read) for read in facts.objects(cell.done, "reads")]
        for parent in facts.parents(cell.done) or facts.parents(cell.asked):
            informed = {"prov:informed": activity, "prov:informant": _activity(parent)}
            self._relate("wasInformedBy", informed)
        if sum(facts.counts(cell.done).values()):
            self._showed(cell, activity, [name for name in used if name])

    def _read(self, activity: str, read: dict[str, Any]) -> str | None:
        name = facts.read_name(read)
        if name is None:
            return None
        # Another content is another entity, as PROV asks.
        version = facts.fingerprint(read)
        entity = f"log:data.{_digest(name, version or '')}"
        described = {"prov:label": name} | _given(
            ("cloister:fingerprint", version), ("cloister:level", facts.text(read, "level"))
        )
        self._document.add_once("entity", entity, described)
        attested = facts.text(read, "attested_by")
        relation = {"prov:activity": activity, "prov:entity": entity}
        self._relate("used", relation | ({"cloister:attestedBy": attested} if attested else {}))
        return entity

    def _showed(self, cell: Cell, activity: str, used: list[str]) -> None:
        entity = f"log:outputs.{cell.event.seq}"
        described: dict[str, Any] = {
            f"cloister:{name}": _typed(count, "xsd:long")
            for name, count in facts.counts(cell.done).items()
        }
        digests = facts.output_digests(cell.done)
        if digests:
            described["cloister:sha256"] = digests
        self._document.add("entity", entity, {"prov:label": "outputs", **described})
        self._relate("wasGeneratedBy", {"prov:entity": entity, "prov:activity": activity})
        for source in dict.fromkeys(used):
            self._relate(
                "wasDerivedFrom",
                {"prov:generatedEntity": entity, "prov:usedEntity": source,
                 "prov:activity": activity},
            )  # fmt: skip

    def _relate(self, kind: str, members: dict[str, Any]) -> None:
        self._relations += 1
        self._document.add(kind, f"_:r{self._relations}", members)


def _described(cell: Cell) -> dict[str, Any]:
    described: dict[str, Any] = {"prov:label": f"{cell.notebook}"}
    if cell.intent is not None:
        described["prov:startTime"] = cell.intent.time
    if cell.result is not None:
        # The result's own time; the clock may have been set back since the intent.
        ended = max(cell.result.time_us, cell.intent.time_us if cell.intent else 0)
        described["prov:endTime"] = iso_time(ended)
    described["cloister:status"] = cell.status
    described |= _given(
        ("cloister:executionId", facts.clean(cell.id)),
        ("cloister:codeSha256", facts.text(cell.asked, "code_sha256")),
        ("cloister:kernelId", facts.text(cell.event.body, "kernel_id")),
        ("cloister:traceId", facts.text(cell.asked, "trace_id")),
        ("cloister:leaf", cell.event.leaf.hex()),
    )
    described["cloister:seq"] = _typed(cell.event.seq, "xsd:long")
    return described


def _given(*members: tuple[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in members if value is not None}


def _activity(execution: str) -> str:
    return f"log:execution.{_digest(execution)}"


def _typed(value: int | str, kind: str) -> dict[str, str]:
    return {"$": str(value), "type": kind}


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(map(facts.clean, parts)).encode()).hexdigest()[:32]
