"""The sidecar process of one kernel: ``python -m cloister.sidecar SPEC``.

Starts the kernel first and imports the rest while it boots. Ends when the kernel has ended, when
the process that started it is gone, or when a guarantee cannot be kept; the kernel never outlives
it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING

from cloister.sidecar.kernelprocess import KernelProcess

if TYPE_CHECKING:
    from pathlib import Path

    from cloister.sidecar.sidecar import Sidecar

# What comes before the kernel's start delays it: everything else is imported when it is needed.

_INNER_PORTS = {"shell": 1, "iopub": 2, "stdin": 3, "hb": 4, "control": 5}


def main(spec_file: str) -> int:
    """Runs one sidecar and returns its exit status."""
    with open(spec_file, encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs start-up time
        raw = json.load(file)
    token, inner_key = os.urandom(32).hex(), os.urandom(32).hex()
    _write_inner_connection_file(raw, inner_key)
    kernel = KernelProcess(
        tuple(raw["command"]),
        {**raw["environment"], "CLOISTER_TOKEN": token},
        cwd=raw["cwd"],
        walls=raw["walls"],
        filter_file=raw["filter_file"],
    )
    os.chdir("/")  # the workspace is nobody's to hold, and nothing there is to be found first
    signal.signal(signal.SIGINT, lambda *_: kernel.interrupt())
    signal.signal(signal.SIGTERM, lambda *_: kernel.kill())
    return _guard(spec_file, kernel, token, inner_key.encode())


def _guard(spec_file: str, kernel: KernelProcess, token: str, inner_key: bytes) -> int:
    """Runs the guard until the kernel ends; whatever happens, the kernel ends with it."""
    import logging
    from pathlib import Path

    from cloister.sidecar.controlgroup import group_name, remove_group
    from cloister.sidecar.spec import LaunchSpec

    logging.basicConfig(
        format="[%(levelname).1s cloister] %(message)s",
        level=os.environ.get("CLOISTER_LOG_LEVEL", "WARNING"),
    )
    spec = LaunchSpec.read(Path(spec_file))
    outcome: dict[str, object] = {}
    sidecar: Sidecar | None = None
    try:
        from cloister.sidecar.sidecar import Sidecar

        sidecar = Sidecar(spec, kernel, token, inner_key)
        sidecar.run()
    except BaseException as error:  # whatever it is, the kernel must not go on without its guard
        outcome["error"] = _describe(error)
        if not isinstance(error, Exception):
            raise
    finally:
        kernel.kill()
        outcome["kernel_exit_code"] = kernel.exit_code
        outcome["is_recorded"] = sidecar is not None and sidecar.is_end_recorded
        _write_exit(spec.exit_file, outcome)
        kernel.end_orphans()
        remove_group(group_name(spec.kernel_id))  # empty now, and nobody else may be left to do it
    if "error" in outcome:
        logging.getLogger("cloister.sidecar").error("%s", outcome["error"])
        return 70  # EX_SOFTWARE
    return abs(kernel.exit_code or 0) & 0xFF


def _write_inner_connection_file(raw: dict[str, object], key: str) -> None:
    connection = {
        "transport": "ipc",
        "ip": f"{raw['inner_dir']}/s",
        **{f"{channel}_port": port for channel, port in _INNER_PORTS.items()},
        "key": key,
        "signature_scheme": "hmac-sha256",
        "kernel_name": "cloister",
    }
    path = f"{raw['launch_dir']}/k/connection.json"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        json.dump(connection, file)


def _describe(error: BaseException) -> dict[str, str | None]:
    from pathlib import Path

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


def _write_exit(path: Path, outcome: dict[str, object]) -> None:
    import contextlib

    # Where the launch directory is gone, somebody has cleaned up already.
    with contextlib.suppress(OSError):
        path.write_text(json.dumps(outcome), "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
