"""A graph as text that other programs draw: Mermaid and DOT. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cloister.store.questions.graph import Graph

_MERMAID_SHAPES: Final = {
    "execution": ('["', '"]'),
    "dataset": ('[("', '")]'),
    "file": ('(["', '"])'),
}
_DOT_SHAPES: Final = {"execution": "box", "dataset": "cylinder", "file": "note"}


def mermaid(graph: Graph) -> str:
    """Returns a flowchart for Mermaid, which JupyterLab and GitHub draw in Markdown."""
    names = {node: f"n{i}" for i, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node in graph.nodes.values():
        before, after = _MERMAID_SHAPES[node.kind]
        lines.append(f"  {names[node.id]}{before}{_mermaid_text(node.label)}{after}")
    for edge in graph.edges:
        label = _mermaid_text(edge.what)
        lines.append(f'  {names[edge.source]} -->|"{label}"| {names[edge.target]}')
    return "\n".join(lines) + "\n"


def dot(graph: Graph) -> str:
    """Returns a digraph for Graphviz."""
    lines = ["digraph lineage {", "  rankdir=LR;"]
    for node in graph.nodes.values():
        label, shape = _dot_text(node.label), _DOT_SHAPES[node.kind]
        lines.append(f"  {_dot_text(node.id)} [label={label}, shape={shape}];")
    for edge in graph.edges:
        what = _dot_text(edge.what)
        lines.append(f"  {_dot_text(edge.source)} -> {_dot_text(edge.target)} [label={what}];")
    return "\n".join([*lines, "}"]) + "\n"


def _mermaid_text(text: str) -> str:
    # Recorded names were chosen by others: what Mermaid reads as more than text becomes a code.
    return "".join(c if c.isalnum() or c in " .,_-/[]()" else f"#{ord(c)};" for c in text)


def _dot_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'
