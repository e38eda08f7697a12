"""Makes a notebook from disk unable to call out when a browser renders it.

What the gate does to live outputs is done here to saved ones: a kernel can write notebooks, and
anybody can send one. Signing a notebook as trusted says that its author is known, and to JupyterLab
that its scripts may run; neither makes it harmless. What is returned is for showing; the file stays
as it is, and whoever saves what was shown puts back what it stands for.

Source is its author's. A browser that shows a notebook cleans it itself (JupyterLab's sanitizer),
and saving it must not change it, so it is made harmless only in what is exported.
"""

from __future__ import annotations

from typing import Any, Final

from cloister.detect.markup import has_code, is_script_type, neutralise, shows_nothing
from cloister.detect.widgets import calls_elsewhere

_DISPLAYS: Final = frozenset({"display_data", "execute_result", "update_display_data"})
_WIDGET_STATE: Final = "application/vnd.jupyter.widget-state+json"
_RENDERED_SOURCES: Final = {"markdown": "text/markdown", "raw": "text/html"}

SCRIPT_WITHHELD: Final = (
    "CLO-OUTPUT-009: A script, frame or form of a saved output was withheld: it would act in the "
    "browser, outside all walls. Rule: output.scripts. The file still holds it; show a table or a "
    "picture, or a chart as Vega or Plotly data."
)


def neutralise_notebook(content: dict[str, Any], *, has_sources: bool = False) -> dict[str, Any]:
    """Returns a notebook that calls nobody; the same object when it called nobody before.

    Args:
        content: A notebook of format 4, as JSON.
        has_sources: Whether Markdown and raw cells are made harmless as well: for exports, of which
            nothing is saved back.
    """
    changed = dict(content)
    if isinstance(cells := content.get("cells"), list):
        changed["cells"] = [_neutralise_cell(cell, has_sources=has_sources) for cell in cells]
    metadata = content.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("widgets"), dict):
        widgets = {mime: _neutralise_states(held) for mime, held in metadata["widgets"].items()}
        changed["metadata"] = {**metadata, "widgets": widgets}
    return content if changed == content else changed


def _neutralise_cell(cell: Any, *, has_sources: bool) -> Any:
    if not isinstance(cell, dict):
        return cell
    changed = dict(cell)
    if isinstance(outputs := cell.get("outputs"), list):
        changed["outputs"] = [_neutralise_output(output) for output in outputs]
    mime = _RENDERED_SOURCES.get(str(cell.get("cell_type")))
    if has_sources and mime is not None and "source" in cell:
        changed["source"] = neutralise(mime, cell["source"]).value
    return changed


def _neutralise_output(output: Any) -> Any:
    if not isinstance(output, dict) or output.get("output_type") not in _DISPLAYS:
        return output
    changed = dict(output)
    if isinstance(metadata := output.get("metadata"), dict):
        changed["metadata"] = neutralise("application/json", metadata).value
    data = output.get("data")
    if not isinstance(data, dict):
        return changed
    kept: dict[str, Any] = {}
    is_code_gone = False
    for mime, value in data.items():
        if is_script_type(mime):
            is_code_gone = True
            continue
        neutral = neutralise(mime, value)
        is_code_gone |= has_code(neutral)
        if not (has_code(neutral) and shows_nothing(mime, neutral.value)):
            kept[mime] = neutral.value
    if is_code_gone and not kept.keys() - {"text/plain"}:
        plain = kept.get("text/plain", "")
        said = "".join(plain) if isinstance(plain, list) else str(plain)
        kept["text/plain"] = f"{said}\n{SCRIPT_WITHHELD}" if said else SCRIPT_WITHHELD
    return {**changed, "data": kept}


def _neutralise_states(held: Any) -> Any:
    """Returns the states of widgets without those that load their code or picture."""
    if not isinstance(held, dict) or not isinstance(states := held.get("state"), dict):
        return neutralise(_WIDGET_STATE, held).value
    kept = {
        model: neutralise(_WIDGET_STATE, entry).value
        for model, entry in states.items()
        if isinstance(entry, dict)
        and not (calls_elsewhere(entry) or calls_elsewhere(entry.get("state")))
    }
    return {**held, "state": kept}
