"""Says why, when the sidecar is gone: the last words to clients that still wait for an answer.

The kernel dies with its sidecar. A client that had sent a cell would wait, or be told only that the
kernel died; so the process that started the sidecar binds the same sockets for a moment and answers
each unfinished execution with an error that names the reason.
"""

from __future__ import annotations

import json
import logging
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq

from cloister.core.errors import CloisterError, GuardStopped, error_from_dict
from cloister.core.records import Record
from cloister.sidecar import wire
from cloister.store.home import Home

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from cloister.sidecar.spec import LaunchSpec

logger = logging.getLogger(__name__)

WAIT_FOR_CLIENTS_S = 2.0
LINGER_MS = 500


def watch(
    process: subprocess.Popen[bytes],
    spec: LaunchSpec,
    is_end_expected: Callable[[], bool],
    remember: Callable[[CloisterError], None] = lambda _: None,
) -> None:
    """Waits for a sidecar to end, and speaks for it if nobody asked it to.

    Args:
        process: The sidecar.
        spec: Its launch.
        is_end_expected: Returns whether somebody asked for the end (shutdown, restart, kill).
        remember: Takes a reason that no client waits for, so that the next kernel can give it.
    """
    code = process.wait()
    if is_end_expected():
        return
    ended = read_exit(spec)
    if ended is not None and "error" not in ended:
        return  # the kernel ended by itself; its client learns that from Jupyter
    error = _reason(code, ended)
    logger.error("%s", error)
    identities, unfinished = _read_journal(spec)
    if not unfinished:
        remember(error)
    steps = [partial(_tell_clients, spec, identities, unfinished, error)]
    if ended is None or not ended.get("is_recorded"):
        steps.append(partial(_record_end, spec, unfinished, error))
    for step in steps:
        try:
            step()
        except Exception as problem:  # noqa: BLE001 - a last word must not end in a traceback
            logger.error(
                "CLO-SIDECAR-002: the end of a sidecar could not be announced or recorded (%s)",
                type(problem).__name__,
            )


def read_exit(spec: LaunchSpec) -> dict[str, Any] | None:
    """Returns what a sidecar that ended in order left behind, or ``None``."""
    try:
        data = json.loads(spec.exit_file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def _reason(code: int, ended: dict[str, Any] | None) -> CloisterError:
    if ended is not None:
        return error_from_dict(ended["error"])
    how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
    return GuardStopped(
        f"The guard of this kernel {how}, so the kernel was stopped with it: "
        "nothing runs unguarded. Variables are gone.",
        remedy="Restart the kernel and run your cells again; what ran before is in the record.",
    )


def _record_end(spec: LaunchSpec, unfinished: list[str], error: CloisterError) -> None:
    """Records the end of the kernel and of the executions that have no result."""
    from cloister.store.keys import open_keyring
    from cloister.store.lineage import LineageLog

    home = Home(Path(spec.home))
    log = LineageLog(home, open_keyring(home))
    try:
        records = [
            Record(
                "cell.result",
                {
                    "execution_id": execution_id,
                    "kernel_id": spec.kernel_id,
                    "status": "killed",
                    "execution_count": None,
                    "duration_us": 0,
                    "outputs": {"shown": 0, "masked": 0, "blocked": 0},
                    "output_digests": [],
                    "reads": [],
                    "egress": [],
                    "labels": [],
                    "attested_by": "server",
                },
            )
            for execution_id in unfinished
        ]
        stopped = Record(
            "kernel.stopped",
            {"kernel_id": spec.kernel_id, "reason": error.code, "attested_by": "server"},
        )
        log.append([*records, stopped])
    finally:
        log.close()


def _tell_clients(
    spec: LaunchSpec, identities: list[bytes], unfinished: list[str], error: CloisterError
) -> None:
    if not unfinished:
        return
    connection = json.loads(Path(spec.connection_file).read_text("utf-8"))
    key = connection["key"].encode()
    content = {
        "ename": type(error).__name__,
        "evalue": str(error),
        "traceback": [f"\x1b[31m{type(error).__name__}\x1b[0m: {error}"],
    }
    context = zmq.Context()
    iopub = context.socket(zmq.XPUB)
    shell = context.socket(zmq.ROUTER)
    shell.setsockopt(zmq.ROUTER_MANDATORY, 1)
    try:
        iopub.bind(f"ipc://{connection['ip']}-{connection['iopub_port']}")
        shell.bind(f"ipc://{connection['ip']}-{connection['shell_port']}")
        if iopub.poll(int(WAIT_FOR_CLIENTS_S * 1000)):
            time.sleep(0.3)  # the other clients reconnect within the same moment
        for msg_id in unfinished:
            parent = {"msg_id": msg_id, "msg_type": "execute_request"}
            for msg_type, body in (("error", content), ("status", {"execution_state": "idle"})):
                message = wire.make_message(msg_type, body, parent=parent)
                message.idents = [f"kernel.cloister.{msg_type}".encode()]
                iopub.send_multipart(wire.serialize(message, key))
            reply = {
                "status": "error",
                "execution_count": 0,
                "user_expressions": {},
                "payload": [],
                **content,
            }
            for identity in identities:
                message = wire.make_message(
                    "execute_reply", reply, parent=parent, idents=[identity]
                )
                try:
                    shell.send_multipart(wire.serialize(message, key), zmq.NOBLOCK)
                except zmq.ZMQError:
                    continue  # this client is not there any more
    finally:
        context.destroy(linger=LINGER_MS)


def _read_journal(spec: LaunchSpec) -> tuple[list[bytes], list[str]]:
    """Returns the shell identities of all clients and the ids of unfinished executions."""
    try:
        lines = spec.journal_file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return [], []
    identities: list[bytes] = []
    unfinished: dict[str, None] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "client" and rest.startswith("shell "):
            identities.append(bytes.fromhex(rest.removeprefix("shell ")))
        elif kind == "begin":
            unfinished[rest] = None
        elif kind == "end":
            unfinished.pop(rest, None)
    return identities, list(unfinished)
