"""What the provisioner tells the sidecar: one private JSON file for each launch."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """One launch of one kernel. Paths are absolute strings.

    Attributes:
        home: ``CLOISTER_HOME``.
        kernel_id: Jupyter's id of the kernel.
        connection_file: The front connection file that clients read.
        command: What to run: the kernel's command line behind bubblewrap's, or alone.
        environment: Variables that the kernel gets; nothing else reaches it.
        workspace: Writable directory.
        cwd: Where the kernel starts.
        data: Catalogued files that the kernel may read.
        inner_dir: Where the kernel sees its own directory.
        launch_dir: Private directory of this launch: sockets and files for the sandbox.
        walls: What stands around the kernel, a value of :class:`.walls.Walls`.
        filter_file: The filter of system calls; empty where there are no walls.
        user: Whose kernel it is.
        notebook: The path that Jupyter Server names, or ``None``.
        notice: Why the kernel before this one was stopped while no cell ran; else empty.
        parent_pid: The process whose end ends the kernel, or ``None``.
        interpreter: The kernel's own program, as its kernelspec names it.
    """

    home: str
    kernel_id: str
    connection_file: str
    command: tuple[str, ...]
    environment: dict[str, str]
    workspace: str
    cwd: str
    data: tuple[str, ...]
    inner_dir: str
    launch_dir: str
    walls: str
    filter_file: str
    user: str
    notebook: str | None
    notice: str
    parent_pid: int | None
    interpreter: str = ""

    @property
    def kernel_dir(self) -> Path:
        """Writable by the kernel: the inner connection file and the kernel's sockets."""
        return Path(self.launch_dir) / "k"

    @property
    def guard_dir(self) -> Path:
        """Read by the kernel: the broker's and the proxy's sockets."""
        return Path(self.launch_dir) / "g"

    @property
    def exit_file(self) -> Path:
        """Written last by a sidecar that ends in order."""
        return Path(self.launch_dir) / "exit.json"

    @property
    def journal_file(self) -> Path:
        """Clients and running executions, so that a farewell reaches who waits."""
        return Path(self.launch_dir) / "journal"

    def write(self, path: Path) -> None:
        """Writes the file with mode 0600; it must not exist."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)

    @classmethod
    def read(cls, path: Path) -> LaunchSpec:
        """Reads what :meth:`write` wrote."""
        data = json.loads(path.read_text("utf-8"))
        return cls(**{**data, "command": tuple(data["command"]), "data": tuple(data["data"])})
