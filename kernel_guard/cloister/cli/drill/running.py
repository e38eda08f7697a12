"""Runs cases: a worker has a kernel, listeners and an outside of its own, and takes one by one."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, Final, Self

from cloister.cli.drill.cases import Outcome
from cloister.cli.drill.clients import KernelClient
from cloister.cli.drill.evidence import Evidence
from cloister.cli.drill.ground import GUARDED, UNGUARDED, WITHOUT_HOOKS, Outside
from cloister.cli.drill.listeners import Listeners
from cloister.cli.drill.outcomes import Result, decide
from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from cloister.cli.drill.canaries import Canaries
    from cloister.cli.drill.cases import Case
    from cloister.cli.drill.ground import Ground
    from cloister.cli.drill.serverclient import JupyterServer

_UNRECORDED: Final = "unrecorded"
_ON_ITS_WAY_S: Final = 0.05
_LOCAL: Final = frozenset(
    {"execute_result", "display_data", "update_display_data", "stream", "error", "clear_output"}
    | {"execute_reply", "shell_reply", "control_reply", "input_request", "comm", "iopub"}
)

_RELAY: Final = (
    # Without hooks a kernel has no relay, but it finds the proxy's socket, as any package can.
    "from cloister.hooks.relay import start_from_environment",
    "try: start_from_environment()",
    "except OSError: pass",
)


class Worker:
    """One kernel at a time, and what lies around it.

    Args:
        ground: Where the drill takes place.
        canaries: What to look for.
        name: Of the worker, for its directory.
        kernel: The kernel spec.
    """

    def __init__(
        self, ground: Ground, canaries: Canaries, name: str, kernel: str = GUARDED
    ) -> None:
        self._ground, self._canaries = ground, canaries
        self._root = ground.root / name
        self._kernel_name = kernel
        self._client: KernelClient | None = None
        self._server: JupyterServer | None = None

    def __enter__(self) -> Self:
        self.outside = Outside(self._root, self._canaries, self._ground.data)
        self._listeners = Listeners(self.outside.directory)
        self._listeners.__enter__()
        self._ground.add_model(int(str(self._listeners.addresses["model"]).rpartition(":")[2]))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_kernel()
        if self._server is not None:
            self._server.close()
        self._listeners.__exit__(None, None, None)
        self.outside.close()

    @property
    def addresses(self) -> Mapping[str, object]:
        """Where the listeners are."""
        return self._listeners.addresses

    @property
    def client(self) -> KernelClient:
        """The kernel, started when it is needed."""
        if self._client is None:
            self._client = KernelClient(self._kernel_name, self.outside.workspace)
            if not self._client.run(self._set_up()):
                self._end_kernel()
                raise CloisterError(
                    "A kernel of the drill could not read the canary dataset.",
                    code="CLO-DRILL-002",
                    remedy="Run: cloister doctor",
                )
        return self._client

    def run(self, case: Case) -> Result:
        """Runs one case and decides by what was seen."""
        if missing := case.missing(has_hooks=self._kernel_name != WITHOUT_HOOKS):
            return Result(case, Outcome.SKIPPED, f"needs {missing}")
        try:
            evidence = self.client.attempt(case)
            if case.visits:
                self._visit(case, evidence)
            if case.clean is not None and self.client_is_alive:
                self.client.run(case.clean)
        except CloisterError as error:
            evidence = Evidence(problem=error.code)
        except Exception as error:  # noqa: BLE001 - its text may hold a canary; one case is lost
            evidence = Evidence(problem=type(error).__name__)
        wait_s = 0.0 if case.channel in _LOCAL else _ON_ITS_WAY_S
        evidence.caught += self._listeners.take(wait_s)
        pid = self.outside.pid
        evidence.traces += self.outside.traces()
        # A kernel that knows places which are gone is of no use to the next case, and neither is
        # one in which this case still decides what is shown.
        if (
            case.ends_kernel
            or evidence.problem
            or pid != self.outside.pid
            or not self.client_is_alive
            or not self.client.does_as_told()
        ):
            self._end_kernel()
        recorded = self._recorded(evidence)
        if self._kernel_name != UNGUARDED and recorded.pop(_UNRECORDED, 0):
            evidence.traces.append("an execution that is not in the record")
        return decide(case, evidence, self._canaries, recorded)

    @property
    def client_is_alive(self) -> bool:
        """Whether the next case can have this kernel."""
        return self._client is not None and self._client.is_alive

    def _end_kernel(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            client.close()

    def _visit(self, case: Case, evidence: Evidence) -> None:
        if self._server is None:
            from cloister.cli.drill.serverclient import JupyterServer

            is_guarded = self._kernel_name != UNGUARDED
            self._server = JupyterServer(self.outside.workspace, guarded=is_guarded)
        for visit in case.visits:
            evidence.answers.append(self._server.visit(visit))

    def _recorded(self, evidence: Evidence) -> dict[str, int]:
        """Returns what the record counts for the executions of a case."""
        from cloister.store.lineage_reader import LineageReader

        counts: dict[str, int] = {}
        with LineageReader(self._ground.home) as reader:
            for execution_id in evidence.execution_ids:
                entries = reader.get(execution_id)
                counts[_UNRECORDED] = counts.get(_UNRECORDED, 0) + (not entries)
                for entry in entries:
                    if entry.body.get("would") is not None:  # a call to a provider
                        counts["observed"] = counts.get("observed", 0) + 1
                    outputs = entry.body.get("outputs")
                    if isinstance(outputs, dict):
                        for name, count in outputs.items():
                            counts[name] = counts.get(name, 0) + int(count)
        return counts

    def _set_up(self) -> str:
        places: dict[str, Any] = {
            "sink": self._listeners.addresses,
            "beacon": f"{self._listeners.addresses['http']}/{self._canaries.mark}",
            "stranger": self._canaries.stranger,
            "outside": str(self.outside.directory),
            "proof": self._canaries.proof,
            "traces": {
                "pid": self.outside.pid,
                "home": str(self._ground.home.root),
                "runtime": str(self._ground.runtime),
                "data": str(self._ground.data),
                "workspace": str(self.outside.workspace),
                "mark": self._canaries.mark,
            },
        }
        lines = [f"{name} = {value!r}" for name, value in places.items()]
        lines += _RELAY
        return "\n".join(
            [
                "import pandas as pd",
                "from IPython.display import display",
                f"df = pd.read_csv({str(self._ground.data)!r}, dtype=str)",
                "row = df.iloc[0].to_dict()",
                *lines,
            ]
        )


def run_cases(
    cases: Sequence[Case],
    ground: Ground,
    canaries: Canaries,
    *,
    workers: int,
    kernel: str = GUARDED,
    done: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Runs cases side by side and returns their results in the order of the cases.

    Args:
        cases: What to run.
        ground: Where.
        canaries: What to look for.
        workers: Kernels at once.
        kernel: The kernel spec.
        done: Called after each case, from the worker's thread.
    """
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for case in sorted(cases, key=_costly, reverse=True):
        waiting.put(case)
    results: dict[str, Result] = {}

    def work(number: int) -> None:
        with Worker(ground, canaries, f"{kernel}-{number}", kernel) as worker:
            while True:
                try:
                    case = waiting.get_nowait()
                except queue.Empty:
                    return
                results[case.id] = worker.run(case)
                done(results[case.id])

    threads = [threading.Thread(target=work, args=(n,), name=f"drill-{n}") for n in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results.get(c.id) or Result(c, Outcome.ERROR, "was not run") for c in cases]


def _costly(case: Case) -> int:
    """What takes long goes first, so that no worker is left alone with it."""
    return 2 if case.visits else int(bool(case.ends_kernel or case.until))


def by_id(cases: Iterable[Case], wanted: Sequence[str]) -> list[Case]:
    """Returns the cases with these ids.

    Raises:
        CloisterError: There is no such case.
    """
    known = {case.id: case for case in cases}
    if unknown := [name for name in wanted if name not in known]:
        raise CloisterError(
            f"The corpus has no case {unknown[0]}.",
            code="CLO-INPUT-012",
            remedy="cloister drill --list names them all.",
        )
    return [known[name] for name in dict.fromkeys(wanted)]
