"""What a notebook becomes when it is saved: outputs masked, the author's own text as it was.

A client that was shown masked source sends masked source back. What did not change is replaced by
what is stored, cell by cell; a cell that was edited gets its values back where each stand-in says
which value it stands for. Where that cannot be told, nothing is saved. Outputs that were shown
without their scripts, and did not change, are saved with them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from cloister.core.filerules import Destination, Saving
from cloister.core.modes import Mode
from cloister.detect.notebookcuts import cut
from cloister.detect.notebookmask import WITHHELD, mask_notebook
from cloister.detect.notebooks import Part, scan_notebook

from cloister_lab.filedesk import FileDesk, FileRefused

if TYPE_CHECKING:
    from cloister.detect.valuefinder import ValueFinder

_MADE: Final = frozenset({Part.OUTPUT, Part.ATTACHMENT, Part.METADATA, Part.WIDGETS})
_OWN: Final = ("source", "attachments", "metadata")


def prepare_notebook(model: dict[str, Any], stored: dict[str, Any] | None, desk: FileDesk) -> None:
    """Changes a notebook's model so that it may be written.

    Args:
        model: What a client wants to save.
        stored: What it would replace, with real content, or ``None``.
        desk: Decides.

    Raises:
        FileRefused: It may not be written.
    """
    import nbformat

    rules = desk.rules()
    if rules.policy.mode is Mode.OBSERVE:
        return
    text = json.dumps(model["content"], ensure_ascii=False)
    content = json.loads(_without_values(text, rules.policy.files.saving, rules.finder))
    if stored is not None and isinstance(stored.get("content"), dict):
        real = json.loads(json.dumps(stored["content"]))
        data = json.dumps(real, ensure_ascii=False).encode("utf-8", "replace")
        try:
            seen = desk.release("notebook.ipynb", data, Destination.VIEW)
        except FileRefused as refusal:
            if refusal.code == "CLO-FILES-006":
                raise
            seen = None  # nobody has seen it
        if seen is not None:
            masked = json.loads(seen.data)
            shown = desk.without_calls(masked, Destination.VIEW)
            _restore_outputs(content, shown, masked)
            if seen.is_masked or shown is not masked:
                _restore(content, shown, real, rules.finder)
    model["content"] = nbformat.from_dict(content)  # type: ignore[no-untyped-call]


def _without_values(text: str, saving: Saving, finder: ValueFinder) -> str:
    """Returns a notebook without values in what its author did not write."""
    if saving is Saving.MASK:
        return mask_notebook(text, finder.mask, _MADE)[0]
    offences = [o for o in scan_notebook(text, finder.find).offences if o.part in _MADE]
    if not offences:
        return text
    if saving is Saving.STRIP:
        return cut(text, offences)
    cells = ", ".join(dict.fromkeys(str(o.cell) for o in offences if o.cell)) or "none"
    raise FileRefused(
        f"The notebook holds values that the policy does not let into files (cells: {cells}).",
        code="CLO-FILES-005",
        rule="files.saving",
        remedy="Clear these outputs and save again.",
    )


def _restore_outputs(
    content: dict[str, Any], shown: dict[str, Any], masked: dict[str, Any]
) -> None:
    """Puts back what was taken out of outputs so that they could be shown; values stay masked."""
    if shown is masked:
        return
    pairs = list(zip(shown.get("cells", ()), masked.get("cells", ()), strict=True))
    by_id = {own["id"]: (seen, own) for seen, own in pairs if "id" in own}
    for number, cell in enumerate(content.get("cells", ())):
        beside = pairs[number : number + 1]  # older notebooks have no ids
        for seen, own in [by_id[cell["id"]]] if cell.get("id") in by_id else beside:
            if cell.get("outputs") and cell["outputs"] == seen.get("outputs"):
                cell["outputs"] = own["outputs"]
                break


def _restore(
    content: dict[str, Any], seen: dict[str, Any], real: dict[str, Any], finder: ValueFinder
) -> None:
    """Puts back what a client was shown masked and did not change."""
    for key, value in content.get("metadata", {}).items():
        if key in real.get("metadata", {}) and value == seen.get("metadata", {}).get(key):
            content["metadata"][key] = real["metadata"][key]
    by_id: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    by_source: dict[str, dict[str, None]] = defaultdict(dict)
    for shown, own in zip(seen.get("cells", ()), real.get("cells", ()), strict=False):
        if "id" in own:
            by_id[own["id"]] = (shown, own)
        by_source[_text(shown)][_text(own)] = None
    stand_ins = _stand_ins(real, finder)
    for cell in content.get("cells", ()):
        pair = by_id.get(cell.get("id", ""))
        if pair is not None:
            for key in _OWN:
                if key in cell and cell[key] == pair[0].get(key) and key in pair[1]:
                    cell[key] = pair[1][key]
        if pair is None or _text(cell) != _text(pair[1]):
            _restore_source(cell, by_source, stand_ins)


def _restore_source(
    cell: dict[str, Any],
    by_source: dict[str, dict[str, None]],
    stand_ins: dict[str, dict[str, None]],
) -> None:
    source = _text(cell)
    whole = by_source.get(source)
    if whole is not None and len(whole) == 1:
        cell["source"] = next(iter(whole))
        return
    for stand_in, values in stand_ins.items():
        if stand_in in source:
            if len(values) != 1:
                raise _unclear()
            source = source.replace(stand_in, next(iter(values)))
    if WITHHELD in source:
        raise _unclear()
    if source != _text(cell):
        cell["source"] = source


def _stand_ins(real: dict[str, Any], finder: ValueFinder) -> dict[str, dict[str, None]]:
    """Returns the values of a notebook's source by what stands in for them."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for cell in real.get("cells", ()):
        for stand_in, value in finder.stand_ins(_text(cell)):
            found[stand_in][value] = None
    return found


def _text(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(source) if isinstance(source, list) else str(source)


def _unclear() -> FileRefused:
    return FileRefused(
        "A cell was shown masked and then edited, and it cannot be told which value each stand-in "
        "stands for.",
        code="CLO-FILES-004",
        rule="files.view",
        remedy="It was not changed. Undo the change of that cell, or write the value out again.",
    )
