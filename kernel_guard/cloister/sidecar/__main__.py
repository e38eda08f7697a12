"""The sidecar process of one kernel: ``python -m cloister.sidecar SPEC``.

Starts the kernel first and imports the rest while it boots. Ends when the kernel has ended, when
the process that started it is gone, or when a guarantee cannot be kept; the kernel never outlives
it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

from cloister.sidecar.kernelprocess import KernelProcess
from cloister.sidecar.spec import LaunchSpec


def main(spec_file: str) -> int:
    """Runs one sidecar and returns its exit status."""
    logging.basicConfig(
        format="[%(levelname).1s cloister] %(message)s",
        level=os.environ.get("CLOISTER_LOG_LEVEL", "WARNING"),
    )
    spec = LaunchSpec.read(Path(spec_file))
    token = secrets.token_urlsafe(32)
    inner_key = _write_inner_connection_file(spec)
    kernel = KernelProcess(spec, {**spec.environment, "CLOISTER_TOKEN": token})
    signal.signal(signal.SIGINT, lambda *_: kernel.interrupt())
    signal.signal(signal.SIGTERM, lambda *_: kernel.kill())
    outcome: dict[str, Any] = {}
    try:
        from cloister.sidecar.sidecar import Sidecar

        Sidecar(spec, kernel, token, inner_key).run()
    except BaseException as error:  # whatever it is, the kernel must not go on without its guard
        outcome["error"] = _describe(error)
        if not isinstance(error, Exception):
            raise
    finally:
        kernel.kill()
        outcome["kernel_exit_code"] = kernel.exit_code
        _write_exit(spec, outcome)
    if "error" in outcome:
        logging.getLogger("cloister.sidecar").error("%s", outcome["error"])
        return 70  # EX_SOFTWARE
    return abs(kernel.exit_code or 0) & 0xFF


def _write_inner_connection_file(spec: LaunchSpec) -> bytes:
    from cloister.sidecar import sandbox

    inside = sandbox.INNER_KERNEL_DIR if spec.sandboxed else str(spec.kernel_dir)
    key = secrets.token_hex(32)
    connection = {
        "transport": "ipc",
        "ip": f"{inside}/s",
        "shell_port": 1,
        "iopub_port": 2,
        "stdin_port": 3,
        "hb_port": 4,
        "control_port": 5,
        "key": key,
        "signature_scheme": "hmac-sha256",
        "kernel_name": "cloister",
    }
    path = spec.kernel_dir / "connection.json"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        json.dump(connection, file)
    return key.encode()


def _describe(error: BaseException) -> dict[str, str | None]:
    from cloister.core.errors import CloisterError

    if isinstance(error, CloisterError):
        return error.as_dict()
    # The text of an unknown error may hold anything; its type and place are enough to report.
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else "?"
    return CloisterError(
        f"The guard of this kernel failed ({type(error).__name__} at {place}).",
        code="CLO-SIDECAR-003",
        remedy="Restart the kernel; if it happens again, run cloister doctor and report it.",
    ).as_dict()


def _write_exit(spec: LaunchSpec, outcome: dict[str, Any]) -> None:
    # Where the launch directory is gone, somebody has cleaned up already.
    with contextlib.suppress(OSError):
        spec.exit_file.write_text(json.dumps(outcome), "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
