"""OCSF 1.6 events (Open Cybersecurity Schema Framework), one JSON object a line.

What a record says becomes the class that a security team looks for: a cell is Script Activity, each
of its reads Datastore Activity, outputs that were blocked a Data Security Finding, a connection
Network Activity, a change of policy, catalogue or keys Entity Management, a file that left File
Hosting Activity. What fits none is a Base Event. Schema: schema.ocsf.io/1.6.0.
"""

from __future__ import annotations

import ipaddress
from typing import IO, TYPE_CHECKING, Any, Final

from cloister.store.executions import INTENT
from cloister.store.exports import facts
from cloister.store.exports.cells import Cells
from cloister.store.exports.product import NAME, VENDOR, product_version
from cloister.store.exports.sections import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloister.store.exports.cells import Cell
    from cloister.store.exports.view import Event, RecordView

VERSION: Final = "1.6.0"

_SCRIPT, _FINDING, _ENTITY = 1009, 2006, 3004
_NETWORK, _DATASTORE, _HOSTING = 4001, 6005, 6006
_OTHER: Final = 99
_INFORMATIONAL, _MEDIUM = 1, 3  # severity_id
_SUCCESS, _FAILURE = 1, 2  # status_id
_ALLOWED, _BLOCKED = 1, 2  # disposition_id
_SHA256: Final = 3  # algorithm_id
_CHANGED: Final = ("policy.", "catalog.", "keys.", "budget.", "release.", "retention.")
_TYPES: Final = {"policy": "Policy"}


class Ocsf:
    """See the module."""

    suffix = ".ocsf.jsonl"
    is_stream = True

    def write(self, view: RecordView, out: IO[bytes]) -> int:
        """Writes at least one line for each event that is no intent of a cell that has a result."""
        mapping = _Mapping(view.origin)
        cells = Cells()
        count = 0
        for event in view.events():
            count += 1
            cell = cells.take(event)
            if event.type == INTENT:
                continue
            mapped = mapping.cell(cell) if cell is not None else [mapping.event(event)]
            out.writelines(dumps(said) + b"\n" for said in mapped)
        for cell in cells.rest():
            out.writelines(dumps(said) + b"\n" for said in mapping.cell(cell))
        return count


class _Mapping:
    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._product = {"name": NAME, "vendor_name": VENDOR, "version": product_version()}

    def cell(self, cell: Cell) -> Iterator[dict[str, Any]]:
        """Yields what an execution was, each of its reads, and what was blocked."""
        actor = self._actor(cell.user)
        said = self._base(cell.event, _SCRIPT, 1)
        script: dict[str, Any] = {
            "type_id": _OTHER,
            "type": "Jupyter cell",
            "name": cell.notebook,
            # The class asks for the code; it is kept encrypted in the record and stays there.
            "script_content": {"value": "", "is_truncated": True},
        }
        digest = facts.text(cell.asked, "code_sha256")
        if digest:
            script["hashes"] = [{"algorithm_id": _SHA256, "value": digest}]
        said |= {"actor": actor, "device": self._device(cell.event), "script": script}
        said["status"] = cell.status
        if cell.result is not None:
            said["status_id"] = _SUCCESS if cell.status == "ok" else _FAILURE
        duration = facts.number(cell.done, "duration_us")
        if duration is not None:
            said["duration"] = duration // 1000
        if cell.intent is not None:
            said["start_time"] = cell.intent.time_us // 1000
        said["unmapped"] |= {"outputs": facts.counts(cell.done)}
        yield said
        for read in facts.objects(cell.done, "reads"):
            name = facts.read_name(read)
            if name is not None:
                yield self._datastore(cell.event, actor, name)
        if facts.counts(cell.done)["blocked"]:
            yield self._finding(cell, actor)

    def event(self, event: Event) -> dict[str, Any]:
        """Returns any other event."""
        body = event.body
        if event.type.startswith("egress.") and facts.text(body, "host"):
            return self._network(event)
        actor = self._actor(facts.text(body, "user"))
        if event.type.startswith("lineage."):
            return self._datastore(event, actor, "lineage log")
        if event.type == "file.leaving" and facts.text(body, "file"):
            return self._file(event, actor)
        if event.type.startswith(_CHANGED):
            kind, _, verb = event.type.partition(".")
            names = (facts.text(body, key) for key in ("dataset", "policy", "name"))
            name = next(filter(None, names), kind)
            said = self._base(event, _ENTITY, 3)
            entity = {"name": name, "type_id": _OTHER, "type": _TYPES.get(kind, kind)}
            return said | {"actor": actor, "entity": entity, "comment": verb}
        return self._base(event, 0, _OTHER)

    def _network(self, event: Event) -> dict[str, Any]:
        body = event.body
        is_allowed = facts.is_allowed(body)
        activity = (2 if body.get("phase") == "closed" else 1) if is_allowed else 5
        said = self._base(event, _NETWORK, activity, is_refused=not is_allowed)
        host = facts.text(body, "host") or ""
        endpoint: dict[str, Any] = {"ip" if _is_address(host) else "hostname": host}
        port = facts.number(body, "port")
        if port is not None and 0 <= port <= 65535:
            endpoint["port"] = port
        said["metadata"]["profiles"] = ["security_control"]
        said |= {
            "dst_endpoint": endpoint,
            "disposition_id": _ALLOWED if is_allowed else _BLOCKED,
            "action_id": _ALLOWED if is_allowed else _BLOCKED,
            "status_id": _SUCCESS if is_allowed else _FAILURE,
        }
        rule = facts.text(body, "rule")
        if rule:
            said["firewall_rule"] = {"uid": rule}
        traffic = {name: facts.number(body, name) for name in ("bytes_out", "bytes_in")}
        if any(traffic.values()):
            said["traffic"] = {name: count for name, count in traffic.items() if count is not None}
        return said

    def _datastore(self, event: Event, actor: dict[str, Any], name: str) -> dict[str, Any]:
        said = self._base(event, _DATASTORE, 1)
        store = {"name": name, "type_id": _OTHER, "type": "Dataset"}
        return said | {"actor": actor, "database": store, "src_endpoint": self._endpoint(event)}

    def _finding(self, cell: Cell, actor: dict[str, Any]) -> dict[str, Any]:
        said = self._base(cell.event, _FINDING, 1, is_refused=True)
        said["metadata"]["profiles"] = ["security_control"]
        labels = facts.texts(cell.done, "labels")
        return said | {
            "actor": actor,
            "disposition_id": _BLOCKED,
            "finding_info": {
                "uid": f"{self._origin}/{cell.event.seq}",
                "title": "Outputs of a cell were blocked",
                "data_sources": labels,
            },
        }

    def _file(self, event: Event, actor: dict[str, Any]) -> dict[str, Any]:
        body = event.body
        path = facts.text(body, "file") or ""
        said = self._base(event, _HOSTING, 2, is_refused=body.get("outcome") == "block")
        file = {"name": path.rpartition("/")[2] or path, "path": path, "type_id": 1}
        return said | {"actor": actor, "file": file, "src_endpoint": self._endpoint(event)}

    def _base(
        self, event: Event, class_uid: int, activity: int, *, is_refused: bool = False
    ) -> dict[str, Any]:
        body = event.body
        unmapped: dict[str, Any] = {
            "record_type": event.type,
            "leaf": event.leaf.hex(),
            "execution_id": facts.text(body, "execution_id"),
            "kernel_id": facts.text(body, "kernel_id"),
            "trace_id": facts.text(body, "trace_id"),
            "labels": facts.texts(body, "labels"),
            "attested_by": facts.text(body, "attested_by"),
        }
        return {
            "class_uid": class_uid,
            "category_uid": class_uid // 1000,
            "activity_id": activity,
            "type_uid": class_uid * 100 + activity,
            "severity_id": _MEDIUM if is_refused else _INFORMATIONAL,
            "time": event.time_us // 1000,
            "metadata": {
                "version": VERSION,
                "product": self._product,
                "log_name": self._origin,
                "sequence": event.seq,
                "original_time": event.time,
            },
            "unmapped": {key: value for key, value in unmapped.items() if value not in (None, [])},
        }

    @staticmethod
    def _actor(user: str | None) -> dict[str, Any]:
        return {"user": {"name": user}} if user else {"app_name": NAME}

    def _device(self, event: Event) -> dict[str, Any]:
        return {"type_id": _OTHER, "type": "Jupyter kernel", **self._endpoint(event)}

    def _endpoint(self, event: Event) -> dict[str, Any]:
        return {"uid": facts.text(event.body, "kernel_id") or self._origin}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
