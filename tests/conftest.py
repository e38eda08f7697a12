"""Fixtures that every room uses: a private home, a workspace, and real guarded kernels."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Rooms whose files take minutes begin first, so that no process is left with one at the end.
_LONG_FIRST = ("ui", "end_to_end", "leaks", "dp", "lab", "cli", "sidecar")
START_TIMEOUT_S = 60
CELL_TIMEOUT_S = 60

# Timings belong into benchmarks; here other processes share the machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the rooms; the order within a file stays."""
    last = len(_LONG_FIRST)

    def place(item: pytest.Item) -> int:
        room = item.path.relative_to(Path(__file__).parent).parts[0]
        return _LONG_FIRST.index(room) if room in _LONG_FIRST else last

    items.sort(key=place)


@dataclass
class CellResult:
    """What one execution sent to its client."""

    status: str
    reply: dict[str, Any]
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    raw: list[dict[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All streams and plain results, joined."""
        parts = []
        for msg_type, content in self.messages:
            if msg_type == "stream":
                parts.append(content["text"])
            elif "data" in content:
                parts.append(content["data"].get("text/plain", ""))
        return "".join(parts)

    @property
    def html(self) -> str:
        """All HTML, joined."""
        return "".join(c["data"].get("text/html", "") for _, c in self.messages if "data" in c)

    @property
    def everything(self) -> str:
        """The whole traffic as one text, for leak checks."""
        seen: list[object] = [self.reply]
        for message in self.raw:
            # The parent is the client's own request: its code is what the user typed.
            seen += [message["content"], message["metadata"], message["header"]]
            seen += [bytes(buffer) for buffer in message["buffers"]]
        return repr(seen)


class GuardedKernel:
    """A real kernel behind a real sidecar, spoken to through jupyter_client."""

    def __init__(self, kernel_name: str, cwd: Path) -> None:
        from jupyter_client.manager import KernelManager

        self.manager = KernelManager(kernel_name=kernel_name)
        self.manager.start_kernel(cwd=str(cwd))
        self.client = self.manager.client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=START_TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    def run(self, code: str, **kwargs: Any) -> CellResult:
        raw: list[dict[str, Any]] = []
        reply = self.client.execute_interactive(
            code,
            timeout=CELL_TIMEOUT_S,
            allow_stdin=kwargs.pop("allow_stdin", False),
            output_hook=raw.append,
            **kwargs,
        )
        messages = [(m["msg_type"], m["content"]) for m in raw]
        return CellResult(reply["content"]["status"], reply["content"], messages, raw)

    @property
    def sidecar_pid(self) -> int:
        return self.manager.provisioner.pid

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh CLOISTER_HOME, not made yet."""
    path = tmp_path / "home"
    monkeypatch.setenv("CLOISTER_HOME", str(path))
    for name in ("CLOISTER_USER", "CLOISTER_ROLES", "JUPYTERHUB_USER"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty directory for notebooks."""
    path = tmp_path / "workspace"
    path.mkdir()
    return path


@pytest.fixture
def start_kernel(home: Path, workspace: Path) -> Iterator[Callable[..., GuardedKernel]]:
    """Starts guarded kernels on ``home`` and ends them after the test."""
    kernels: list[GuardedKernel] = []

    def start(kernel_name: str = "cloister", cwd: Path | None = None) -> GuardedKernel:
        kernels.append(GuardedKernel(kernel_name, cwd or workspace))
        return kernels[-1]

    yield start
    for kernel in kernels:
        kernel.close()


@pytest.fixture(scope="module")
def module_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKernel]:
    """One guarded kernel for all tests of a module that leave it as they found it."""
    root = tmp_path_factory.mktemp("kernel")
    (root / "workspace").mkdir()
    before = os.environ.get("CLOISTER_HOME")
    os.environ["CLOISTER_HOME"] = str(root / "home")
    try:
        kernel = GuardedKernel("cloister", root / "workspace")
    finally:
        if before is None:
            del os.environ["CLOISTER_HOME"]
        else:
            os.environ["CLOISTER_HOME"] = before
    kernel.home = root / "home"
    yield kernel
    kernel.close()


@pytest.fixture(scope="session")
def kernel_class() -> type[GuardedKernel]:
    """The class itself, for fixtures that start kernels in their own way."""
    return GuardedKernel
