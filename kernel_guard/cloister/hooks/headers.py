"""What a masked table says about itself: header words, HTML chips and one caption line.

HTML here is inline style only: no script, no external resource. Colours are JupyterLab's own
variables with fallbacks that are legible on light and on dark ground; text, not colour, carries
the meaning.
"""

from __future__ import annotations

import html
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloister.hooks.labels import ColumnLabel, FrameLabels
    from cloister.hooks.policyview import PolicyView

# Private-use characters: a label holds them only while its table is rendered.
_OPEN, _CLOSE = "\ue0c1", "\ue0c2"

_CHIP_STYLE = (
    "display:inline-block;font-size:0.8em;font-weight:normal;line-height:1.4;padding:0 0.4em;"
    "border-radius:0.7em;border:1px solid var(--jp-border-color1,#8888);"
    "color:var(--jp-ui-font-color2,inherit);white-space:nowrap"
)
_CAPTION_STYLE = (
    "font-size:0.85em;margin:0.2em 0 0 0;color:var(--jp-ui-font-color2,inherit);opacity:0.9"
)


def text_header(name: object, label: ColumnLabel) -> str:
    """Returns a column's name with the reason that it is masked: ``ssn [US_SSN restricted]``."""
    return f"[{label.words}]" if name is None or name == "" else f"{name} [{label.words}]"


def chip(label: ColumnLabel) -> str:
    """Returns the HTML chip that stands below a masked column's name."""
    title = (
        f"{label.level} · {label.entity_type or 'kind unknown'} · rule {label.rule} · "
        f"label from {label.source}"
    )
    words = html.escape(label.words)
    return (
        f'<br><span class="cloister-chip" style="{_CHIP_STYLE}" '
        f'title="{html.escape(title, quote=True)}">{words}</span>'
    )


class ChipMarks:
    """Marks that are put into labels before rendering and become chips in the rendered HTML."""

    def __init__(self) -> None:
        # A mark that user data cannot hold by accident, nor by guessing.
        self._nonce = secrets.token_hex(4)
        self._chips: list[str] = []

    def mark(self, name: object, label: ColumnLabel) -> str:
        """Returns ``name`` with a mark behind it."""
        self._chips.append(chip(label))
        shown = "" if name is None else f"{name}"
        return f"{shown}{_OPEN}{self._nonce}{len(self._chips) - 1}{_CLOSE}"

    def replace_in(self, rendered: str) -> str:
        """Returns the HTML with every mark replaced by its chip."""
        for number, text in enumerate(self._chips):
            rendered = rendered.replace(f"{_OPEN}{self._nonce}{number}{_CLOSE}", text)
        return rendered


def caption_text(
    labels: FrameLabels, policy: PolicyView, noun: str = "cloister.explain(df)"
) -> str:
    """Returns the caption: how much is masked, by which policy, and where to ask why.

    Args:
        labels: Only the masked ones.
        policy: The policy that masks.
        noun: The call that explains.
    """
    parts = [
        _count(len([x for x in labels.columns if x is not None]), "column"),
        _count(len([x for x in labels.index if x is not None]), "index level"),
        _count(len([x for x in labels.header if x is not None]), "header level"),
        _count(len([x for x in labels.rows if x is not None]), "row"),
    ]
    masked = ", ".join(p for p in parts if p)
    if policy.digest:
        return f"{masked} masked by policy `{policy.name}` · {noun}"
    return f"{masked} masked: the policy cannot be read, so nothing above public is shown · {noun}"


def caption_html(labels: FrameLabels, policy: PolicyView) -> str:
    """Returns the caption as one muted HTML line."""
    text = html.escape(caption_text(labels, policy))
    return f'<p class="cloister-caption" style="{_CAPTION_STYLE}">{text}</p>'


def with_caption(rendered: str, labels: FrameLabels, policy: PolicyView) -> str:
    """Returns a rendered HTML table with the caption below it, inside its ``div`` if it has one."""
    line = caption_html(labels, policy)
    head, end, tail = rendered.rpartition("</div>")
    return f"{head}{line}{end}{tail}" if end else rendered + line


def _count(number: int, noun: str) -> str:
    if number == 0:
        return ""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
