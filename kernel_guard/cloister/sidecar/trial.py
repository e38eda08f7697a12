"""A trial of the walls: a sandbox like a kernel's, and what they forbid tried inside it.

Nothing here is concluded from versions or settings. What is to be out of reach is there: a file, a
process, listeners, a variable; :mod:`.attempts` runs inside and says what it could do.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloister.core.guarantees import Guarantee
from cloister.sidecar import attempts, sandbox
from cloister.sidecar.enclosure import enclose
from cloister.sidecar.kernelprocess import KernelProcess

if TYPE_CHECKING:
    from cloister.sidecar.walls import Walls

_LIMIT_S: Final = 30.0
TRIED: Final = (*attempts.ATTEMPTS, "gpu")
_FOR_WALLS: Final = "See the guarantee 'sandbox'."


def try_walls(walls: Walls, home: Path) -> list[Guarantee]:
    """Returns what holds behind these walls on this machine.

    Args:
        walls: Which to put up.
        home: ``CLOISTER_HOME``, which must be out of reach.

    Raises:
        OSError: The trial could not be run.
        ValueError: It did not end in order.
    """
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cl-"))).resolve()
        succeeded = _run(walls, base, _Outside(base, home, stack))
    rows = [_guarantee(name, succeeded[name]) for name in attempts.ATTEMPTS]
    return [*rows, _gpu(sandbox.gpu_devices(), succeeded["gpu"])]


def _guarantee(name: str, succeeded: list[str]) -> Guarantee:
    if succeeded:
        done = ", ".join(words.replace("_", " ") for words in succeeded)
        return Guarantee(name, holds=False, why=f"tried inside: one can {done}", fix=_FOR_WALLS)
    tried = ", ".join(a.__name__.replace("_", " ") for a in attempts.ATTEMPTS[name])
    return Guarantee(name, holds=True, why=f"tried inside, and refused: {tried}")


def _gpu(devices: list[str], usable: list[str]) -> Guarantee:
    missing = [path for path in devices if path not in usable]
    if not devices:
        return Guarantee("gpu", holds=True, why="there is no graphics processor on this machine")
    if missing:
        why = f"kernels cannot use {', '.join(missing)}"
        fix = "Give this account the right to read and write these device files."
        return Guarantee("gpu", holds=False, why=why, fix=fix)
    return Guarantee("gpu", holds=True, why=f"passed through to kernels: {', '.join(devices)}")


class _Outside:
    """What must be out of reach, and where it is."""

    def __init__(self, base: Path, home: Path, stack: ExitStack) -> None:
        self.mark = secrets.token_hex(16)
        outside = base / "outside"
        outside.mkdir()
        (outside / "secret").write_text(self.mark)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        for address in (str(outside / "socket"), f"\0{self.mark}"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen()
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()", self.mark], stdin=subprocess.PIPE
        )
        stack.callback(process.communicate)
        self.places: dict[str, Any] = {
            "secret": str(outside / "secret"),
            "home": str(home),
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "unix": str(outside / "socket"),
            "abstract": self.mark,
            "mark": self.mark,
            "pid": process.pid,
            "gpu": sandbox.gpu_devices(),
        }


def _run(walls: Walls, base: Path, outside: _Outside) -> dict[str, list[str]]:
    directories = {name: base / name for name in ("workspace", "k", "g")}
    for directory in directories.values():
        directory.mkdir(mode=0o700)
    program = Path(attempts.__file__).read_text("utf-8")
    plan = sandbox.SandboxPlan(
        workspace=directories["workspace"],
        cwd=directories["workspace"],
        read_only=sandbox.interpreter_paths(sys.executable),
        data=(),
        hidden=(),
        kernel_dir=directories["k"],
        guard_dir=directories["g"],
        etc_dir=base / "e",
    )
    # In a file: what stands on the command line, the namespace's own first process has, too.
    places_file = plan.workspace / "places.json"
    places_file.write_text(json.dumps(outside.places), "utf-8")
    command = [sys.executable, "-I", "-S", "-c", program, str(places_file)]
    enclosed = enclose(walls, plan, command, base)
    environ = {**os.environ, "TRIAL_NOTE": outside.mark}
    process = KernelProcess(
        enclosed.command,
        sandbox.kernel_environment(environ, (), enclosed.variables),
        cwd=str(plan.cwd),
        walls=walls.value,
        filter_file=enclosed.filter_file,
    )
    timer = threading.Timer(_LIMIT_S, process.kill)
    timer.start()
    try:
        with os.fdopen(process.log_fd, "rb") as output:
            said = output.read()
    finally:
        timer.cancel()
        process.kill()
        process.has_exited()
    # What it says itself comes last; before it there may be complaints of the walls.
    found: dict[str, list[str]] = json.loads(said[said.rindex(b'{"files"') :])
    return found
