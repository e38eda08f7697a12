"""Puts the parts of one sidecar together and runs them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from cloister.core.errors import CloisterError, StoreUnavailable
from cloister.core.guarantees import Guarantee
from cloister.detect.cleared import ClearedValues
from cloister.detect.exact import ExactIndex
from cloister.detect.tokens import Tokenizer
from cloister.sidecar.bounds import Bounds
from cloister.sidecar.broker import Broker
from cloister.sidecar.budgets import Budgets
from cloister.sidecar.channels import Endpoints
from cloister.sidecar.checks.checker import Checker
from cloister.sidecar.controlgroup import group_name
from cloister.sidecar.door import serve_door
from cloister.sidecar.gate import Gate
from cloister.sidecar.livepolicy import LivePolicy
from cloister.sidecar.llm.consent import ConsentBook
from cloister.sidecar.llm.service import ProviderService
from cloister.sidecar.posture import walls_of
from cloister.sidecar.proxy.wayout import WayOut
from cloister.sidecar.reads import Reads
from cloister.sidecar.recorder import KernelFacts, Recorder
from cloister.sidecar.recording.environment import environment_of
from cloister.sidecar.recording.files import Files
from cloister.sidecar.resourcewatch import ResourceWatch
from cloister.sidecar.runningtraces import RunningTraces
from cloister.sidecar.scan import Scanner
from cloister.sidecar.textguard import Tally, TextGuard
from cloister.sidecar.volume import Volume
from cloister.sidecar.walls import Walls
from cloister.store.budget import BudgetLedger
from cloister.store.catalog import Catalog
from cloister.store.evidence.witnessing import Witnessing
from cloister.store.files import write_atomic
from cloister.store.home import Home
from cloister.store.keys import open_keyring
from cloister.store.lineage_writer import LineageWriter
from cloister.store.volume import VolumeBook

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloister.core.policy import Policy
    from cloister.sidecar.kernelprocess import KernelProcess
    from cloister.sidecar.spec import LaunchSpec

logger = logging.getLogger(__name__)

_PARENT_CHECK_S = 1.0
_FIRST_REST_S = 0.02
_WORKSPACE_FILES = 200
_WORKSPACE_FILE_BYTES = 64 * 1024 * 1024
_WORKSPACE_DEPTH = 4
_CHANNELS = ("shell", "iopub", "stdin", "hb", "control")


class Sidecar:
    """The guard of one running kernel.

    Args:
        spec: The launch.
        kernel: The kernel's process, already started.
        token: What the kernel's broker requests carry.
        inner_key: What the kernel signs its messages with.

    Attributes:
        is_end_recorded: Whether the record says that the kernel has ended, and why.
    """

    def __init__(
        self, spec: LaunchSpec, kernel: KernelProcess, token: str, inner_key: bytes
    ) -> None:
        self._spec = spec
        self._kernel = kernel
        self.is_end_recorded = False
        home = Home(Path(spec.home))
        keyring = open_keyring(home)
        self._home = home
        self._walls = Walls(spec.walls)
        self._policy = LivePolicy(home, walls=self._walls, on_change=self._policy_changed)
        tokenizer = Tokenizer(keyring.token_key, keyring.reversible_key)
        index = ExactIndex(keyring.index_key)
        cleared = ClearedValues(keyring.index_key)
        self._guard = TextGuard(self._policy.last_valid, tokenizer, index, cleared)
        self._checker = Checker(self._guard)  # before there is any thread
        facts = KernelFacts(spec.kernel_id, spec.user, spec.notebook, Path(spec.launch_dir).name)
        traces = RunningTraces(LineageWriter(home, keyring).append)
        self._recorder = Recorder(
            traces.append,
            facts,
            lambda: self._policy.last_valid.digest,
            lambda text: self._guard.mask(text, Tally()),
            self._rule_of,
        )
        self._files = Files(
            Path(spec.workspace).resolve(),
            record=self._recorder.append,
            joins=self._recorder.fingerprinted,
            shown=self._recorder.shown_path,
        )
        self._recorder.provenance.files = self._files
        catalog = Catalog(home)
        self._scanner = Scanner(
            home,
            keyring.index_key,
            self._policy.last_valid,
            catalog,
            index,
            cleared=cleared,
            workspace=Path(spec.workspace).resolve(),
        )
        self._reads = Reads(
            data=[Path(path) for path in spec.data],
            workspace=Path(spec.workspace).resolve(),
            scanner=self._scanner,
            recorder=self._recorder,
            walls=kernel.pid if self._walls is Walls.BUBBLEWRAP else None,
            on_rise=self._level_rose,
        )
        self._volume = Volume(
            VolumeBook(home), lambda: self._policy.last_valid, self._recorder.append
        )
        bounds = Bounds(
            lambda: self._policy.last_valid, self._reads.high_water, self._volume, spec.user
        )
        self._index_ready = threading.Event()
        self._has_ended = threading.Event()
        self._index_error: CloisterError | None = None
        budgets = Budgets(lambda: BudgetLedger(home), self._policy.check, self._recorder, spec.user)
        self._broker = Broker(
            token=token,
            policy=self._policy.check,
            tokenizer=tokenizer,
            scanner=self._scanner,
            recorder=self._recorder,
            budgets=budgets,
            workspace=Path(spec.workspace),
            hello={
                "user": spec.user,
                "sandbox": spec.walls,
                "workspace": spec.workspace,
            },
            on_read=self._reads.reported,
        )
        self._way_out = WayOut(
            spec.guard_dir,
            home,
            keyring,
            policy=self._policy.check,
            recorder=self._recorder,
            guard=self._guard,
            user=spec.user,
            level=self._reads.high_water.level,
            raise_level=self._reads.high_water.raise_to,
            spend=bounds.send,
            trace=traces.of,
            filters=ProviderService(
                self._policy.check,
                self._guard,
                tokenizer,
                self._recorder.provider,
                book=ConsentBook(catalog, Path(spec.workspace), map(Path, spec.data)),
            ),
        )
        self._witnesses = Witnessing(home, keyring, lambda: self._policy.last_valid.record)
        self._resources = ResourceWatch(
            kernel,
            lambda: self._policy.last_valid.resources,
            workspace=Path(spec.workspace),
            record=home.root,
            name=group_name(spec.kernel_id),
            roots=kernel.roots,
        )
        self._journal = spec.journal_file.open("ab", buffering=0)
        self._gate = Gate(
            front=_front_endpoints(spec),
            back=Endpoints(
                {name: f"{spec.kernel_dir}/s-{_INNER_PORTS[name]}" for name in _CHANNELS}, inner_key
            ),
            guard=self._guard,
            checker=self._checker,
            recorder=self._recorder,
            before_execute=self._before_execute,
            journal=self._write_journal,
            on_ready=self._kernel_is_ready,
            notice=spec.notice,
            bounds=bounds,
        )

    def run(self) -> None:
        """Relays until the kernel ends."""
        self._recorder.append(
            "kernel.started",
            {
                "user": self._spec.user,
                "notebook": self._spec.notebook,
                "sandbox": self._spec.walls,
                "policy_digest": self._policy.last_valid.digest,
                "attested_by": "sidecar",
            },
        )
        self._reads.watch()
        self._write_state()
        threading.Thread(target=self._serve_kernel, name="broker", daemon=True).start()
        self._way_out.start()
        self._witnesses.start()
        self._files.start()
        threading.Thread(target=self._note_environment, name="environment", daemon=True).start()
        threading.Thread(target=self._index_catalog, name="index", daemon=True).start()
        if self._spec.parent_pid is not None:
            threading.Thread(target=self._watch_parent, name="parent", daemon=True).start()
        try:
            self._gate.run(self._kernel.has_exited, self._kernel.exit_fd, self._kernel.log_fd)
        finally:
            exceeded = self._resources.stop()
            self._gate.close()
            self._checker.close()
            self._way_out.stop()
        self._files.stop()
        reason = exceeded.code if exceeded else "exited"
        self._recorder.append(
            "kernel.stopped",
            {"exit_code": self._kernel.exit_code, "reason": reason, "attested_by": "sidecar"},
        )
        self._witnesses.stop()
        self.is_end_recorded = True
        if exceeded is not None:
            raise exceeded

    def _kernel_is_ready(self) -> None:
        """Confines a kernel that has booted; nothing of its user has run."""
        self._resources.confine()
        self._resources.start()
        self._write_state()

    def _before_execute(self) -> None:
        """Raises when nothing may run now: policy broken, or sensitive data not indexed yet."""
        self._policy.check()
        self._witnesses.check()
        self._index_ready.wait()
        if self._index_error is not None:
            raise self._index_error
        self._reads.follow()

    def _rule_of(self, entities: Sequence[str]) -> str:
        """Returns the rule by which values of these types are shown: that of the highest level."""
        return f"display.{max(map(self._policy.last_valid.level_of, entities))}"

    def _note_environment(self) -> None:
        """Records what the kernel runs on; executions then name it by its digest."""
        try:
            found = environment_of(
                self._spec.interpreter, Path(self._spec.workspace), self._spec.environment
            )
            self._recorder.append(
                "kernel.environment",
                {
                    "environment": found.digest,
                    "python": found.python,
                    "packages": len(found.packages),
                    "image": found.image,
                    "commit": found.commit,
                    "attested_by": "sidecar",
                },
                json.dumps({"packages": found.packages}).encode(),
            )
            self._recorder.environment = found.digest
        except (CloisterError, OSError) as error:
            logger.error("The environment is not on record (%s).", type(error).__name__)

    def _policy_changed(self, policy: Policy) -> None:
        self._guard.policy = policy
        self._scanner.policy = policy

    def _index_catalog(self) -> None:
        """Loads the digests of all catalogued data; nothing runs before, so nothing slips by."""
        try:
            self._reads.scan()
        except CloisterError as error:
            self._index_error = CloisterError(
                f"A catalogued dataset could not be scanned ({error.code}), so its values would "
                "not be recognised in outputs.",
                code="CLO-SCAN-002",
                remedy="Repair or remove it: cloister catalog list. Then restart the kernel.",
            )
        except Exception as error:  # noqa: BLE001 - its text may hold data
            logger.error("CLO-SCAN-002: %s while indexing the catalogue", type(error).__name__)
            self._index_error = CloisterError(
                "The catalogue could not be indexed, so its values would not be recognised.",
                code="CLO-SCAN-002",
                remedy="Run cloister catalog list, repair the dataset, restart the kernel.",
            )
        finally:
            self._index_ready.set()
        self._index_workspace()

    def _index_workspace(self) -> None:
        """Indexes data files of the workspace that nobody has catalogued, as far as that is quick.

        A help, not a guarantee: it runs beside the first cells. What the hooks see being read is
        indexed before the read returns; what must be known in any case belongs in the catalogue.
        """
        for path in islice(_data_files(Path(self._spec.workspace)), _WORKSPACE_FILES):
            try:
                if path.stat().st_size <= _WORKSPACE_FILE_BYTES:
                    self._reads.note_workspace_file(path)
            except CloisterError:
                continue  # not a table after all
            except Exception as error:  # noqa: BLE001 - its text may hold data
                logger.warning("CLO-SCAN-004: %s while scanning a file", type(error).__name__)

    def _serve_kernel(self) -> None:
        """Runs the broker; without it a kernel must not go on."""
        socket_file = self._spec.guard_dir / "broker.sock"

        async def serve() -> None:
            await self._broker.start(socket_file)
            if self._kernel.door is not None:
                serve_door(self._kernel.door, socket_file)
            await asyncio.Event().wait()

        try:
            asyncio.run(serve())
        except Exception as error:  # noqa: BLE001 - without its broker a kernel must not go on
            logger.error("CLO-SIDECAR-004: broker failed (%s)", type(error).__name__)
            self._kernel.kill()

    def _write_journal(self, line: str) -> None:
        self._journal.write(line.encode("utf-8", "replace") + b"\n")
        if line.startswith("end "):
            self._reads.high_water.rest()
            self._has_ended.set()

    def _watch_parent(self) -> None:
        wait_s = _PARENT_CHECK_S
        while os.getppid() == self._spec.parent_pid:
            # When an execution ends, threads of the kernel may still be on their way to sleep, and
            # later one may wake for a moment: each time it sleeps again, it is at rest again.
            if self._has_ended.wait(wait_s):
                self._has_ended.clear()
                wait_s = _FIRST_REST_S
            # Until the data is indexed, it is this process that opens it.
            is_at_rest = not self._index_ready.is_set() or self._reads.high_water.rest()
            wait_s = _PARENT_CHECK_S if is_at_rest else min(2 * wait_s, _PARENT_CHECK_S)
        self._kernel.kill()

    def _level_rose(self) -> None:
        """Shows what was read, and notes it for what this user may download later."""
        self._write_state()
        try:
            self._volume.note(self._spec.user, self._reads.high_water.datasets())
        except StoreUnavailable as error:
            logger.error("%s", error)

    def _write_state(self) -> None:
        """Says what holds for this kernel; the server extension shows it."""
        directory = self._home.run_dir / self._spec.kernel_id
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = {
            "kernel_id": self._spec.kernel_id,
            "pid": os.getpid(),
            "started_us": time.time_ns() // 1000,
            "sandbox": self._spec.walls,
            "policy_digest": self._policy.last_valid.digest,
            "user": self._spec.user,
            "notebook": self._spec.notebook,
            "guarantees": [asdict(guarantee) for guarantee in self._guarantees()],
            **self._reads.state(),
        }
        write_atomic(directory / "state.json", json.dumps(state).encode(), durable=False)

    def _guarantees(self) -> list[Guarantee]:
        """Returns what holds for this kernel and what does not, as ``cloister doctor`` says it."""
        is_watching = self._reads.is_watching
        reads = Guarantee(
            "reads",
            is_watching,
            "opens of catalogued files are seen outside" if is_watching else _NO_WATCH,
            "" if is_watching else "Raise fs.inotify.max_user_watches and restart the kernel.",
        )
        return [
            Guarantee("gate", holds=True, why="every message is scanned outside the kernel"),
            Guarantee("record", holds=True, why="every execution is recorded before it runs"),
            *walls_of(
                self._kernel.kernel_pid,
                self._walls,
                home=self._home.root,
                variables={*self._spec.environment, "CLOISTER_TOKEN", *_BY_THE_SYSTEM},
            ),
            reads,
            Guarantee("resources", holds=True, why=self._resources.describe()),
        ]


_NO_WATCH = "files cannot be watched"
# Set on the way: bubblewrap says where it went, Python which locale it chose.
_BY_THE_SYSTEM = frozenset({"PWD", "OLDPWD", "LC_CTYPE"})
_INNER_PORTS = {"shell": 1, "iopub": 2, "stdin": 3, "hb": 4, "control": 5}


def _data_files(root: Path) -> Iterator[Path]:
    """Yields the table files below a directory, hidden and deep directories left out."""
    from cloister.detect.tablefile import is_table_file

    for directory, names, files in os.walk(root):
        depth = len(Path(directory).relative_to(root).parts)
        names[:] = [n for n in names if not n.startswith(".")] if depth < _WORKSPACE_DEPTH else []
        for name in sorted(files):
            path = Path(directory, name)
            if is_table_file(path) and not path.is_symlink():
                yield path


def _front_endpoints(spec: LaunchSpec) -> Endpoints:
    """Reads the front connection file that jupyter_client wrote."""
    connection = json.loads(Path(spec.connection_file).read_text("utf-8"))
    if connection["transport"] == "ipc":
        pattern = f"ipc://{connection['ip']}-{{port}}"
    else:
        pattern = f"tcp://{connection['ip']}:{{port}}"
    addresses = {name: pattern.format(port=connection[f"{name}_port"]) for name in _CHANNELS}
    secret = connection.get("curve_secretkey")
    return Endpoints(addresses, connection["key"].encode(), secret.encode() if secret else None)
