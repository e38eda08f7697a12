"""What something came from, back to files; and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from cloister.store.executions import RESULT
from cloister.store.questions.record import listed, runs_of_kernel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloister.store.questions.record import Record, Run

MOST_NODES: Final = 500


class Way(Enum):
    """Which way a graph is followed."""

    BACK = "back"
    ON = "on"


@dataclass(frozen=True, slots=True)
class Node:
    """An execution (PROV: activity) or a file or dataset (entity).

    Attributes:
        id: ``execution:ID``, ``file:PATH`` or ``dataset:NAME``.
        kind: ``execution``, ``file`` or ``dataset``.
        label: For people.
        facts: What is known of it, JSON.
    """

    id: str
    kind: str
    label: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """Something went from one node to another.

    Attributes:
        source: Where it was.
        target: Where it went.
        what: Names, columns, or ``read`` and ``wrote``.
        attested_by: Who says so.
    """

    source: str
    target: str
    what: str
    attested_by: str


@dataclass(slots=True)
class Graph:
    """Nodes and edges, in the direction in which data went.

    Attributes:
        nodes: By id, in the order in which they were found.
        edges: Each once.
        is_cut: Whether there is more of it than is shown.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[Edge, None] = field(default_factory=dict)
    is_cut: bool = False

    def roots(self) -> list[Node]:
        """Returns what nothing in the graph went to: where it all came from."""
        reached = {edge.target for edge in self.edges}
        return [node for node in self.nodes.values() if node.id not in reached]

    def as_dict(self) -> dict[str, Any]:
        """Returns it as JSON."""
        return {
            "nodes": [
                {"id": n.id, "kind": n.kind, "label": n.label, **n.facts}
                for n in self.nodes.values()
            ],
            "edges": [
                {"from": e.source, "to": e.target, "what": e.what, "attested_by": e.attested_by}
                for e in self.edges
            ],
            "roots": [node.id for node in self.roots()],
            "is_cut": self.is_cut,
        }


def makers(record: Record, *, digest: str | None = None, path: str | None = None) -> list[str]:
    """Returns the executions that showed or wrote something, the newest first.

    Args:
        record: The record.
        digest: SHA-256 of a file, or of a picture in an output.
        path: Where a file was written, as the record has it.
    """
    events = []
    if digest is not None:
        events += [e for e in record.about("sha256", digest) if _made(e.body, digest)]
    if path is not None:
        events += record.about("written", path)
    names = (event.body.get("execution_id") for event in events)
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def _made(body: dict[str, Any], digest: str) -> bool:
    """Returns whether an event says that its execution wrote a file, or showed a picture."""
    if body.get("sha256") == digest:
        return body.get("how") == "written"
    outputs = [*listed(body, "displayed"), *listed(body, "display_updates")]
    return any(
        form.get("sha256") == digest for output in outputs for form in listed(output, "forms")
    )


def graph(
    record: Record, start: Iterable[str], *, way: Way = Way.BACK, most: int = MOST_NODES
) -> Graph:
    """Returns what executions came from, or what came of them.

    Parents within a kernel are those that the record names. A file that was read leads to the
    execution that wrote it before, whichever kernel that ran in.

    Args:
        record: The record.
        start: Ids of executions.
        way: Back to the files, or on to what was made.
        most: The most executions.
    """
    found, followers = Graph(), _Followers(record)
    waiting = list(dict.fromkeys(start))
    seen: set[str] = set()
    while waiting:
        if len(seen) >= most:
            found.is_cut = True
            break
        step = [name for name in waiting if name not in seen][: most - len(seen)]
        waiting = []
        seen |= set(step)
        for run in record.runs(step):
            _add_run(found, run)
            if way is Way.BACK:
                waiting += run.parents + _writers(record, found, run)
            else:
                waiting += followers.of(run) + _readers(record, run)
        waiting = [name for name in dict.fromkeys(waiting) if name not in seen]
    _close(found)
    return found


def _add_run(found: Graph, run: Run) -> None:
    row, result = run.row(), run.result
    node = _execution(run.id)
    count = row["execution_count"]
    found.nodes[node] = Node(
        node,
        "execution",
        f"[{'-' if count is None else count}] {_named(row['notebook'])}".strip(),
        {
            "seq": row["seq"],
            "time": row["time"],
            "user": row["user"],
            "notebook": row["notebook"],
            "cell_id": row["cell_id"],
            "status": row["status"],
            "names_defined": row["names_defined"],
            "outputs": row["outputs"],
            "code_sha256": row["code_sha256"],
        },
    )
    for item in listed(result, "parents"):
        parent = _execution(str(item.get("parent")))
        names = [str(name) for name in item.get("names") or []]
        if names:
            found.edges[Edge(parent, node, ", ".join(names), "sidecar")] = None
    for read in listed(result, "reads"):
        source = _source(read)
        found.nodes.setdefault(source.id, source)
        who = str(read.get("attested_by", "kernel"))
        found.edges[Edge(source.id, node, "read", who)] = None
    for written in listed(result, "writes"):
        target = _file(str(written.get("written")), None)
        found.nodes.setdefault(target.id, target)
        found.edges[Edge(node, target.id, "wrote", "sidecar")] = None


def _writers(record: Record, found: Graph, run: Run) -> list[str]:
    """Returns the executions, of any kernel, that wrote the files which one read."""
    writers = []
    before = run.facts[-1].seq if run.facts else run.intent.seq
    for read in listed(run.result, "reads"):
        path = str(read.get("path"))
        for event in record.about("written", path, kinds=[RESULT], before=before, limit=1):
            writers.append(str(event.body.get("execution_id")))
            source, target = _file(path, None), _source(read)
            if target.id != source.id:  # a dataset of the catalogue that a cell wrote
                found.nodes.setdefault(source.id, source)
                found.edges[Edge(source.id, target.id, "is", "sidecar")] = None
    return writers


class _Followers:
    """Executions by those that they go back to; names are known within one kernel only."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._known: dict[str, dict[str, list[str]]] = {}

    def of(self, run: Run) -> list[str]:
        """Returns the executions of the same kernel that used what one made."""
        kernel = str(run.intent.body.get("kernel_id"))
        if kernel not in self._known:
            followers: dict[str, list[str]] = {}
            for other in runs_of_kernel(self._record, kernel):
                for parent in other.parents:
                    followers.setdefault(parent, []).append(other.id)
            self._known[kernel] = followers
        return self._known[kernel].get(run.id, [])


def _readers(record: Record, run: Run) -> list[str]:
    """Returns the executions, of any kernel, that read what one wrote."""
    found = []
    for written in listed(run.result, "writes"):
        path = str(written.get("written"))
        for event in record.about("path", path, kinds=[RESULT]):
            is_read = any(item.get("path") == path for item in listed(event.body, "reads"))
            if is_read and event.seq > run.intent.seq:
                found.append(str(event.body.get("execution_id")))
    return found


def _close(found: Graph) -> None:
    """Drops edges to executions that are not in the graph, because it was cut or is one-way."""
    for edge in list(found.edges):
        if edge.source not in found.nodes or edge.target not in found.nodes:
            del found.edges[edge]


def _execution(name: str) -> str:
    return f"execution:{name}"


def _source(read: dict[str, Any]) -> Node:
    path = str(read.get("path"))
    dataset = read.get("dataset")
    if not isinstance(dataset, str):
        return _file(path, read.get("sha256"))
    facts = {"path": path, "sha256": read.get("sha256")}
    return Node(f"dataset:{dataset}", "dataset", dataset, facts)


def _file(path: str, digest: object) -> Node:
    return Node(f"file:{path}", "file", _named(path), {"path": path, "sha256": digest})


def _named(path: object) -> str:
    return str(path).rpartition("/")[2] if path else ""
