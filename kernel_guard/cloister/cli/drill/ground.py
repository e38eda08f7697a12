"""Where a drill takes place: a home, a dataset and a workspace that nobody works with.

The home has the live policy and fresh keys, so that policy and walls of this installation are what
is tested, and neither the live record nor anybody's data is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import yaml

from cloister.core.modes import Mode
from cloister.store.home import HOME_VARIABLE, Home, ensure_home

if TYPE_CHECKING:
    from types import TracebackType

    from cloister.cli.drill.canaries import Canaries

DATASET: Final = "drill-patients"
GUARDED: Final = "cloister"
WITHOUT_HOOKS: Final = "drill-without-hooks"
UNGUARDED: Final = "drill-unguarded"

_OURS: Final = frozenset({"secret.txt", "listener.pem"})


class Ground:
    """The place of one drill; made on entry, removed on exit.

    Entering sets ``CLOISTER_HOME`` and ``JUPYTER_PATH`` of this process: kernels are started with
    its environment.

    Args:
        canaries: Written as the dataset and planted outside.
        policy: The policy's YAML, or ``None`` for the default policy.
        mode: Replaces the policy's mode.

    Attributes:
        visiting: Held for a visit while observing: a record of a file does not say whose it was.
    """

    def __init__(
        self, canaries: Canaries, policy: bytes | None = None, mode: Mode | None = None
    ) -> None:
        self._canaries = canaries
        self._policy = policy
        self._mode = mode
        self._environ: dict[str, str | None] = {}
        self._lock = threading.Lock()
        self.visiting = threading.Lock()

    def __enter__(self) -> Self:
        self.root = Path(tempfile.mkdtemp(prefix="cloister-drill-")).resolve()
        self.home = Home(self.root / "home")
        self.data = self.root / "data" / "patients.csv"
        self.runtime = self.root / "runtime"
        for directory in (self.data.parent, self.runtime):
            directory.mkdir(mode=0o700)
        self._set("JUPYTER_RUNTIME_DIR", str(self.runtime))
        self._set("DRILL_NOTE", self._canaries.secret)  # a secret of whoever starts kernels
        self._set(HOME_VARIABLE, str(self.home.root))
        before = os.environ.get("JUPYTER_PATH")
        self._set("JUPYTER_PATH", os.pathsep.join(filter(None, [str(self.root), before])))
        try:
            self._make_home()
            self._make_kernel_specs()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, value in self._environ.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(self.root, ignore_errors=True)

    @property
    def is_observing(self) -> bool:
        """Whether what should not leave leaves, and the record says so."""
        return self._mode is Mode.OBSERVE

    def add_model(self, port: int) -> None:
        """Lets kernels call a language model on loopback, on the terms of a provider.

        Every value must become a token on the way there, and what cannot is not to leave.
        """
        from cloister.store.files import write_atomic

        level = {"redacted": "restricted", "plain": "internal"}
        where = {"hosts": ["127.0.0.1"], "ports": [port]}
        provider = {"name": f"drill-{port}", **where, "local": True, "level": level}
        with self._lock:
            document = yaml.safe_load(self.home.policy_path.read_bytes())
            if any(known["name"] == provider["name"] for known in document.get("providers", ())):
                return  # a worker before has had the same port
            rules = document.setdefault("egress", {}).setdefault("allow", [])
            rules.append({"host": "127.0.0.1", "ports": [port]})
            document.setdefault("providers", []).append(provider)
            policy = yaml.safe_dump(document, sort_keys=False).encode()
            write_atomic(self.home.policy_path, policy)

    def _set(self, name: str, value: str) -> None:
        self._environ.setdefault(name, os.environ.get(name))
        os.environ[name] = value

    def _make_home(self) -> None:
        from cloister.store.catalog import Catalog
        from cloister.store.files import write_atomic

        ensure_home(self.home)
        for place in (self.home.root / "drill.txt", self.runtime / "kernel-drill.json"):
            place.write_text(f"{self._canaries.secret}\n")
        policy = self._policy or self.home.policy_path.read_bytes()
        if self._mode is not None:
            document = yaml.safe_load(policy)
            document["mode"] = self._mode.value
            policy = yaml.safe_dump(document, sort_keys=False).encode()
        write_atomic(self.home.policy_path, policy)
        self._canaries.write(self.data)
        Catalog(self.home).add(DATASET, str(self.data))

    def _make_kernel_specs(self) -> None:
        from cloister.sidecar.kernelspec import kernel_json

        plain = [sys.executable, "-P", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        guarded = {**kernel_json(), "argv": plain}
        # ipykernel does not capture file descriptors where it believes that it is tested itself.
        argv = ["/usr/bin/env", "-u", "PYTEST_CURRENT_TEST", *plain]
        unguarded = {**guarded, "argv": argv, "metadata": {"debugger": True}}
        for name, spec in ((WITHOUT_HOOKS, guarded), (UNGUARDED, unguarded)):
            directory = self.root / "kernels" / name
            directory.mkdir(parents=True)
            (directory / "kernel.json").write_text(json.dumps(spec), "utf-8")


class Outside:
    """What lies beyond the walls of one worker: a directory, a secret in it, and a process.

    Args:
        root: Where to make it and the worker's workspace.
        canaries: Whose secret is planted.
        data: The dataset, which no kernel may change.
    """

    def __init__(self, root: Path, canaries: Canaries, data: Path) -> None:
        self.workspace = root / "workspace"
        self.directory = root / "outside"
        self._mark = canaries.mark
        self._data = data
        self._rows = data.read_bytes()
        self._secret = f"{canaries.secret}\n"
        for directory in (self.workspace, self.directory):
            directory.mkdir(parents=True)
        self._restore()
        self._process = self._start()

    def _restore(self) -> None:
        for path in self.directory.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif not path.is_socket() and path.name not in _OURS:
                path.unlink()
        for place in self._shared():
            place.unlink(missing_ok=True)
        if self._data.read_bytes() != self._rows:
            self._data.write_bytes(self._rows)
        (self.directory / "secret.txt").write_text(self._secret)

    def _start(self) -> subprocess.Popen[bytes]:
        # Its argument and environment are readable wherever /proc shows foreign processes.
        return subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()", self._secret.strip()],
            stdin=subprocess.PIPE,
            env={"DRILL": self._secret.strip()},
        )

    def _shared(self) -> tuple[Path, ...]:
        """Places that every process of the machine sees."""
        return Path("/dev/shm", self._mark), Path("/tmp", self._mark)  # noqa: S108 - looked at only

    @property
    def pid(self) -> int:
        """The process outside."""
        return self._process.pid

    def traces(self) -> list[str]:
        """Returns what has changed, in words, and puts it right."""
        found = []
        files = {path.name for path in self.directory.iterdir() if not path.is_socket()}
        if files - _OURS or any(place.exists() for place in self._shared()):
            found.append("a file outside the workspace")
        secret = self.directory / "secret.txt"
        if not secret.is_file() or secret.read_text("utf-8", "replace") != self._secret:
            found.append("a file outside was changed")
        if self._data.read_bytes() != self._rows:
            found.append("the dataset was changed")
        if self._process.poll() is not None:
            found.append("a process outside was ended")
            self.close()
            self._process = self._start()
        if found:
            self._restore()
        return found

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()
