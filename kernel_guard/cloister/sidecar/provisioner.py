"""The kernel provisioner: the one place where a guarded kernel starts.

Every Jupyter client starts kernels through ``jupyter_client``, and ``jupyter_client`` through the
provisioner that the kernel spec names, so this covers JupyterLab, Notebook, nbclient, papermill,
consoles, VS Code and agents alike. It refuses here, with a reason, when a guarantee cannot be
given, and otherwise starts the sidecar in the place where a plain kernel would have been started.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.provisioning import LocalProvisioner
from tornado.web import HTTPError

from cloister.core.errors import CloisterError
from cloister.sidecar import farewell, sandbox
from cloister.sidecar.bestwalls import require_walls
from cloister.sidecar.controlgroup import group_name, remove_group
from cloister.sidecar.enclosure import enclose
from cloister.sidecar.proxy.trust import BUNDLE_NAME, BUNDLE_VARIABLES
from cloister.sidecar.rundir import new_run_dir, run_base
from cloister.sidecar.spec import LaunchSpec
from cloister.sidecar.walls import Walls
from cloister.store.home import Home, ensure_home, locate_home
from cloister.store.identity import current_user
from cloister.store.policy import load_policy

if TYPE_CHECKING:
    from cloister.core.policy import Policy

logger = logging.getLogger(__name__)


class KernelRefused(CloisterError, HTTPError):
    """A kernel that may not start here; Jupyter Server shows the message to the user."""

    def __init__(self, error: CloisterError) -> None:
        HTTPError.__init__(self, 503, str(error), reason="Kernel refused by Cloister")
        # Not super(): CloisterError's own super() call would land in HTTPError a second time.
        self.message, self.code = error.message, error.code
        self.rule, self.remedy = error.rule, error.remedy

    def __str__(self) -> str:
        return CloisterError.__str__(self)


class CloisterProvisioner(LocalProvisioner):  # type: ignore[misc] # jupyter_client is untyped here
    """Starts a sidecar that starts the kernel behind walls."""

    _run_dir: Path | None = None
    _spec: LaunchSpec | None = None
    _launches = 0
    _end_expected = False
    _watcher: threading.Thread | None = None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Checks the guarantees and prepares the sidecar's command line.

        Raises:
            KernelRefused: The policy, the home, the record or the sandbox is not in order.
        """
        try:
            home, policy, walls = self._check()
            self._use_ipc()
            kwargs = await super().pre_launch(**kwargs)
            self._spec = self._make_spec(home, policy, kwargs, walls)
            if not walls.stand:
                logger.warning("CLO-SANDBOX-005: this kernel runs without a sandbox (policy)")
        except CloisterError as error:
            raise KernelRefused(error) from None
        spec_file = Path(self._spec.launch_dir) / "spec.json"
        self._spec.write(spec_file)
        # -P keeps the working directory off the import path, and the working directory is not the
        # workspace: a module that a kernel left there must not run out here.
        kwargs["cmd"] = [sys.executable, "-P", "-m", "cloister.sidecar", str(spec_file)]
        kwargs["cwd"] = "/"
        return kwargs

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Starts the sidecar and watches it, so that its death is explained to the clients."""
        self._end_expected = False
        info = await super().launch_kernel(cmd, **kwargs)
        assert self._spec is not None  # noqa: S101 - pre_launch ran before
        self._watcher = threading.Thread(
            target=farewell.watch,
            args=(self.process, self._spec, lambda: self._end_expected, self._remember),
            name="cloister-watch",
            daemon=True,
        )
        self._watcher.start()
        return info

    def _remember(self, error: CloisterError) -> None:
        """Keeps why a kernel ended where the next one finds it: each start has a provisioner."""
        self.parent._cloister_end = str(error)  # noqa: SLF001 - the manager outlives us

    async def poll(self) -> int | None:
        """Says that the kernel runs until its end has been explained to the clients.

        A client that learns first that the kernel is dead stops listening and never hears why.
        """
        is_explaining = self._watcher is not None and self._watcher.is_alive()
        if is_explaining and not self._end_expected:
            return None
        status: int | None = await super().poll()
        return status

    async def send_signal(self, signum: int) -> None:
        """Interrupts go to the sidecar alone, which passes them to the kernel inside."""
        if self.process is None:
            return
        if signum in {signal.SIGKILL, signal.SIGTERM}:
            self._end_expected = True
            await super().send_signal(signum)
        else:
            self.process.send_signal(signum)

    async def kill(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002 - inherited
        """Ends the sidecar and, through it, the kernel at once."""
        self._end_expected = True
        await super().kill(restart=restart)

    async def terminate(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002 - inherited
        """Asks the sidecar to end the kernel."""
        self._end_expected = True
        await super().terminate(restart=restart)

    async def shutdown_requested(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002 - inherited
        """Notes that the end of the process is what the user asked for."""
        self._end_expected = True
        await super().shutdown_requested(restart=restart)

    async def cleanup(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002 - inherited
        """Removes this launch's files, and the sockets' directory unless the kernel restarts."""
        await super().cleanup(restart=restart)
        if self._spec is not None:
            shutil.rmtree(self._spec.launch_dir, ignore_errors=True)
            shutil.rmtree(Home(Path(self._spec.home)).run_dir / self._spec.kernel_id, True)  # noqa: FBT003
            remove_group(group_name(self._spec.kernel_id))
        if not restart and self._run_dir is not None:
            shutil.rmtree(self._run_dir, ignore_errors=True)
            self._run_dir = None

    @staticmethod
    def _check() -> tuple[Home, Policy, Walls]:
        """Returns home, policy and the walls that the kernel gets, or refuses."""
        home = ensure_home(locate_home(os.environ))
        policy = load_policy(home)
        _check_record(home)
        return home, policy, require_walls(policy.sandbox)

    def _use_ipc(self) -> None:
        """Moves the public sockets into a private directory; anyone can subscribe to a TCP one."""
        if self._run_dir is None:
            self._run_dir = new_run_dir()
            (self._run_dir / "f").mkdir(mode=0o700)
        manager = self.parent
        manager.transport = "ipc"
        manager.cache_ports = False
        manager.ip = str(self._run_dir / "f" / "z")

    def _make_spec(
        self, home: Home, policy: Policy, kwargs: dict[str, Any], walls: Walls
    ) -> LaunchSpec:
        manager = self.parent
        environ: dict[str, str] = kwargs.get("env") or dict(os.environ)
        assert self._run_dir is not None  # noqa: S101 - _use_ipc ran before
        self._launches += 1
        launch_dir = self._run_dir / f"l{self._launches}"
        for directory in (launch_dir, launch_dir / "k", launch_dir / "g"):
            directory.mkdir(mode=0o700)
        user_home = Path(os.path.expanduser("~")).resolve()  # noqa: PTH111 - may be unset
        cwd = Path(kwargs.get("cwd") or Path.cwd()).resolve()
        root = getattr(getattr(manager, "parent", None), "root_dir", "") or str(cwd)
        workspace = sandbox.choose_workspace(Path(root).resolve(), cwd, home.root, user_home)
        is_inside = walls is Walls.BUBBLEWRAP  # the kernel then has names of its own for these
        inside = Path(sandbox.INNER_KERNEL_DIR) if is_inside else launch_dir / "k"
        guard = Path(sandbox.INNER_GUARD_DIR) if is_inside else launch_dir / "g"
        command = [
            part.replace(manager.connection_file, str(inside / "connection.json"))
            for part in kwargs["cmd"]
        ]
        data = _catalogued_paths(home)
        plan = sandbox.SandboxPlan(
            workspace=workspace,
            cwd=cwd,
            read_only=sandbox.interpreter_paths(command[0]),
            data=data,
            hidden=sandbox.hidden_paths(workspace, home.root, run_base(), user_home),
            kernel_dir=launch_dir / "k",
            guard_dir=launch_dir / "g",
            etc_dir=launch_dir / "e",
        )
        enclosed = enclose(walls, plan, command, launch_dir)
        return LaunchSpec(
            home=str(home.root),
            kernel_id=self.kernel_id,
            connection_file=str(Path(manager.connection_file).resolve()),
            command=enclosed.command,
            environment=sandbox.kernel_environment(
                environ, self.kernel_spec.env, {**_guard_variables(guard), **enclosed.variables}
            ),
            workspace=str(workspace),
            cwd=str(cwd),
            data=tuple(map(str, data)),
            inner_dir=str(inside),
            launch_dir=str(launch_dir),
            walls=walls.value,
            filter_file=enclosed.filter_file,
            user=current_user(os.environ, policy),
            notebook=environ.get("JPY_SESSION_NAME") or None,
            notice=manager.__dict__.pop("_cloister_end", ""),
            parent_pid=None if kwargs.get("independent") else os.getpid(),
            interpreter=command[0],
        )


def _check_record(home: Home) -> None:
    """Opens the lineage log once, so that a corrupt or full store is said before the start."""
    from cloister.store.keys import open_keyring
    from cloister.store.lineage import LineageLog

    LineageLog(home, open_keyring(home)).close()


def _catalogued_paths(home: Home) -> tuple[Path, ...]:
    """Returns the files of the catalogue: kernels may read them, and their values are indexed."""
    from cloister.store.catalog import Catalog

    return tuple(path for dataset in Catalog(home).list() for path in dataset.files())


def _guard_variables(guard: Path) -> dict[str, str]:
    proxy = "http://127.0.0.1:3128"
    bundle = str(guard / BUNDLE_NAME)  # the sidecar writes it before anything runs
    variables = {
        **dict.fromkeys(BUNDLE_VARIABLES, bundle),
        "CLOISTER_BROKER": str(guard / "broker.sock"),
        "CLOISTER_EGRESS": str(guard / "egress.sock"),
        "NO_PROXY": "",
        "no_proxy": "",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    if user_site := sandbox.user_site_directory():
        variables["PYTHONUSERBASE"] = str(user_site.parents[2])  # HOME is another one inside
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        variables |= {name: proxy, name.lower(): proxy}
    return variables
