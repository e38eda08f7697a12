"""The broker: answers the kernel's questions over a Unix socket, and never hands out a key.

One JSON object a line, each with the token of this kernel (``docs/design.md`` lists the
operations). Whatever a kernel sends is untrusted: sizes are bounded, paths are resolved outside and
must lie in the workspace or the catalogue, and an answer never holds a value that the kernel did
not send itself, but for tokens that the policy lets its user undo.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloister.core.decisions import decide_egress, egress_error
from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.core.modes import Mode
from cloister.core.policy import Treatment
from cloister.sidecar.reveals import Reveals

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.core.policy import Policy
    from cloister.detect.tokens import Tokenizer
    from cloister.sidecar.budgets import Budgets
    from cloister.sidecar.recorder import Recorder
    from cloister.sidecar.scan import Scan, Scanner

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 64 * 1024 * 1024
MAX_VALUES = 200_000
MAX_TOKENISED = 10_000
MAX_FRAMES = 50

_BAD_REQUEST = "CLO-BROKER-002"


class BadRequest(CloisterError):
    """A request whose fields are not what the operation takes."""

    default_code = _BAD_REQUEST


class Broker:
    """Serves one kernel.

    Args:
        token: What every request must carry.
        policy: Returns the policy in force.
        tokenizer: Makes tokens for masked displays.
        scanner: Scans files that the kernel reads.
        recorder: Joins reads and denials to the record.
        budgets: The privacy ledger, as this kernel may use it.
        workspace: Where files may be scanned without being catalogued.
        hello: Facts for the hooks: ``user`` and ``sandbox``.
        on_read: Told of each read that the hooks report, with what the file holds.
    """

    def __init__(
        self,
        *,
        token: str,
        policy: Callable[[], Policy],
        tokenizer: Tokenizer,
        scanner: Scanner,
        recorder: Recorder,
        budgets: Budgets,
        workspace: Path,
        hello: dict[str, str],
        on_read: Callable[[Path, Scan], None] = lambda _path, _scan: None,
    ) -> None:
        self._token = token
        self._policy = policy
        self._tokenizer = tokenizer
        self._scanner = scanner
        self._recorder = recorder
        self._workspace = workspace
        self._hello_facts = hello
        self._on_read = on_read
        self._server: asyncio.Server | None = None
        reveals = Reveals(policy, tokenizer, recorder, scanner.observe, hello.get("user", ""))
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "hello": self._hello,
            "tokenise": self._tokenise,
            "offsets": self._offsets,
            "reveal": reveals.reveal,
            "observe_read": self._observe_read,
            "observe_values": self._observe_values,
            "observe_frames": self._observe_frames,
            "egress_denied": self._egress_denied,
            "budget": budgets.rows,
            "reserve": budgets.reserve,
            "checkpoint": budgets.checkpoint,
            "commit": budgets.commit,
            "refund": budgets.refund,
        }

    async def start(self, path: Path) -> None:
        """Listens on a new socket at ``path``."""
        self._server = await asyncio.start_unix_server(
            self._serve, path=str(path), limit=MAX_LINE_BYTES
        )

    async def close(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await self._line(reader):
                answer = await asyncio.to_thread(self.answer, line)
                writer.write(answer + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the kernel went away
        finally:
            writer.close()

    @staticmethod
    async def _line(reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readline()
        except ValueError:
            return b""  # longer than MAX_LINE_BYTES: hang up

    def answer(self, line: bytes) -> bytes:
        """Returns the answer to one request line, always one JSON object."""
        request: dict[str, Any] = {}
        try:
            request = self._authenticated(line)
            operation = self._operations.get(str(request.get("op")))
            if operation is None:
                raise BadRequest("The broker has no such operation.")
            answer = {"ok": True, "result": operation(request)}
        except CloisterError as error:
            answer = {"ok": False, "error": error.as_dict()}
        except Exception as error:  # noqa: BLE001 - the text of an unknown error may hold data
            logger.error("CLO-BROKER-003: %s in operation", type(error).__name__)
            failure = CloisterError(
                "The broker could not answer.",
                code="CLO-BROKER-003",
                remedy="Restart the kernel; if it stays, run cloister doctor.",
            )
            answer = {"ok": False, "error": failure.as_dict()}
        identity = request.get("id")
        return json.dumps(
            {"id": identity if isinstance(identity, int) else None, **answer}
        ).encode()

    def _authenticated(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            raise BadRequest("The request is not JSON.") from None
        if not isinstance(request, dict):
            raise BadRequest("The request is not a JSON object.")
        token = request.get("token")
        if not isinstance(token, str) or not hmac.compare_digest(
            token.encode(), self._token.encode()
        ):
            raise BadRequest("The request does not carry this kernel's token.")
        return request

    def _hello(self, _request: dict[str, Any]) -> dict[str, Any]:
        policy = self._policy()
        return {
            **self._hello_facts,
            "policy": {
                "name": policy.name,
                "digest": policy.digest,
                "display": {str(level): _treatment(policy, level).value for level in Level},
                "entities": {name: str(level) for name, level in policy.entities.items()},
                "columns": [
                    {"id": c.id, "match": c.match, "level": str(c.level), "entity": c.entity_type}
                    for c in policy.columns
                ],
                # A deny list may itself be confidential: only the gate has it.
                "recognizers": [
                    r.as_dict(deny_list=False) for r in policy.recognizers if r.patterns
                ],
                "masks": {name: mask.as_dict() for name, mask in policy.masks.items()},
                "allow_list": list(policy.allow_list.values),
                "allow_list_match": "regex" if policy.allow_list.is_regex else "exact",
            },
        }

    def _tokenise(self, request: dict[str, Any]) -> dict[str, Any]:
        values = _strings(request.get("values"), MAX_TOKENISED)
        entity_type = _entity(request.get("entity_type"))
        if request.get("reversible") is True:
            return {"tokens": self._tokenizer.reversible_tokens(entity_type, values)}
        return {"tokens": self._tokenizer.tokens(entity_type, values)}

    def _offsets(self, request: dict[str, Any]) -> dict[str, Any]:
        values = _strings(request.get("values"), MAX_TOKENISED)
        # Not those of masked files: a kernel that can ask how far a subject is moved could move a
        # file back that was masked for it.
        domain = f"KERNEL {_entity(request.get('entity_type'))}"
        return {"offsets": self._tokenizer.offsets(domain, values)}

    def _observe_read(self, request: dict[str, Any]) -> dict[str, Any]:
        path = self._readable(request.get("path"))
        scan = self._scanner.scan(path)
        self._on_read(path, scan)
        self._recorder.read(
            {
                "path": str(path),
                "dataset": scan.dataset,
                "format": str(request.get("format") or path.suffix.lstrip("."))[:20],
                "attested_by": "kernel",
            },
            [
                {"column": name, "level": label.level, "entity_type": label.entity_type}
                for name, label in scan.labels.items()
                if label.level != str(Level.PUBLIC)
            ],
        )
        labels = {
            column: {
                "level": label.level,
                "entity_type": label.entity_type,
                "source": label.source,
                "final": label.final,
            }
            for column, label in scan.labels.items()
        }
        return {"dataset": scan.dataset, "labels": labels}

    def _readable(self, path: object) -> Path:
        """Resolves a path that the kernel names; only what it can read itself is ever scanned."""
        if not isinstance(path, str) or "\0" in path or not path.startswith("/"):
            raise BadRequest("A read names an absolute path.")
        real = Path(path).resolve()
        if not self._scanner.is_readable(real, self._workspace):
            raise BadRequest("The path is neither in the workspace nor in the catalogue.")
        return real

    def _observe_values(self, request: dict[str, Any]) -> dict[str, Any]:
        values = request.get("values")
        if not isinstance(values, dict):
            raise BadRequest("observe_values takes an object of lists by entity type.")
        indexed = sum(
            self._scanner.observe(_entity(name), _strings(items, MAX_VALUES))
            for name, items in values.items()
        )
        return {"indexed": indexed}

    def _observe_frames(self, request: dict[str, Any]) -> dict[str, Any]:
        frames = request.get("frames")
        if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
            raise BadRequest("observe_frames takes a list of objects.")
        self._recorder.frames(frames[:MAX_FRAMES])
        return {}

    def _egress_denied(self, request: dict[str, Any]) -> dict[str, Any]:
        host = str(request.get("host"))[:255]
        port = request.get("port")
        number = port if isinstance(port, int) and 0 <= port <= 65535 else 0
        decision = decide_egress(self._policy(), host, number)
        via = str(request.get("via"))[:20]
        self._recorder.egress(
            {
                "host": host,
                "port": number,
                "decision": "block",
                "rule": decision.rule,
                "via": via,
                "attested_by": "kernel",
            }
        )
        if decision.effect.value == "allow":
            error = CloisterError(
                f"{host} is allowed, but only through the proxy.",
                code="CLO-EGRESS-004",
                rule=decision.rule,
                remedy="Use an HTTP library that honours HTTPS_PROXY.",
            )
            return dict(error.as_dict())
        return dict(egress_error(decision).as_dict())


def _entity(value: object) -> str:
    if not isinstance(value, str) or not value.replace("_", "").isalnum() or len(value) > 40:
        raise BadRequest("An entity type is a short name such as US_SSN.")
    return value


def _strings(value: object, limit: int) -> list[str]:
    if not isinstance(value, list) or len(value) > limit:
        raise BadRequest(f"values is a list of at most {limit} strings.")
    return [item if isinstance(item, str) else str(item) for item in value]


def _treatment(policy: Policy, level: Level) -> Treatment:
    """Returns how hooks show a level: in observe mode nothing is changed."""
    return Treatment.SHOW if policy.mode is Mode.OBSERVE else policy.display[level]
