"""What stands below a cell when it has run, as its clients show it.

A client joins a stream's pieces, empties the cell where the kernel says so, and changes an output
in its place when a later message has the same display id. The same is done here with digests, so
that a saved notebook can be compared with what left the gate (:mod:`cloister.core.outputdigest`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cloister.core.outputdigest import STREAM, StreamText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.core.records import Json

MOST_STANDING: Final = 1_000
"""Outputs of one execution that are listed; more are counted."""


@dataclass(frozen=True, slots=True)
class Disposition:
    """What became of an output on its way out.

    Attributes:
        word: ``shown``, ``masked``, ``blocked``, ``observed`` (left as it was, in observe mode) or
            ``notice`` (said by the gate itself).
        rule: The policy's rule that decided it; empty where nothing had to be decided.
        code: The stable code of a refusal, or empty.
        entities: Types of the values that were masked.
    """

    word: str
    rule: str = ""
    code: str = ""
    entities: tuple[str, ...] = ()

    def join(self, other: Disposition) -> Disposition:
        """Returns what became of two pieces of one output: the stronger of both."""
        first, second = (self, other) if _rank(self) >= _rank(other) else (other, self)
        entities = tuple(sorted({*self.entities, *other.entities}))
        return Disposition(
            first.word, first.rule or second.rule, first.code or second.code, entities
        )

    def facts(self) -> dict[str, Json]:
        """Returns it for the record; what is empty is left out."""
        facts: dict[str, Json] = {"disposition": self.word}
        facts |= {"rule": self.rule} if self.rule else {}
        facts |= {"code": self.code} if self.code else {}
        facts |= {"entities": [*self.entities]} if self.entities else {}
        return facts


SHOWN: Final = Disposition("shown")
NOTICE: Final = Disposition("notice")
_RANKS: Final = {"notice": 0, "shown": 1, "observed": 2, "masked": 3, "blocked": 4}


def _rank(disposition: Disposition) -> int:
    return _RANKS.get(disposition.word, 0)


@dataclass(slots=True)
class _Output:
    kind: str
    forms: Sequence[tuple[str, str]]
    disposition: Disposition
    name: str = ""
    display: str = ""
    text: StreamText | None = None

    def facts(self) -> dict[str, Json]:
        forms = [(STREAM, self.text.digest())] if self.text else self.forms
        facts: dict[str, Json] = {
            "kind": self.kind,
            "forms": [{"type": mime, "sha256": digest} for mime, digest in forms],
            **self.disposition.facts(),
        }
        facts |= {"name": self.name} if self.name else {}
        facts |= {"display": self.display} if self.display else {}
        return facts


@dataclass(slots=True)
class Standing:
    """The outputs of one execution that stand now."""

    _outputs: list[_Output] = field(default_factory=list)
    _updates: dict[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    _left_out: int = 0
    _clears_next: bool = False
    _is_captured: bool = False

    def stream(self, name: str, text: str, disposition: Disposition) -> None:
        """Takes a piece of a stream."""
        if self._is_captured:
            return
        self._clear_if_due()
        last = self._outputs[-1] if self._outputs else None
        if last is None or last.text is None or last.name != name:
            last = self._add(_Output("stream", (), disposition, name, "", StreamText()))
        if last is not None and last.text is not None:
            last.text.add(text)
            last.disposition = last.disposition.join(disposition)

    def output(
        self,
        kind: str,
        forms: Sequence[tuple[str, str]],
        display: str,
        disposition: Disposition,
    ) -> None:
        """Takes an output that is no stream.

        Args:
            kind: Its message type.
            forms: Media types and digests.
            display: What its display id is known by, or empty.
            disposition: What became of it.
        """
        if display and kind in {"display_data", "execute_result", "update_display_data"}:
            self._change(display, forms)
        if kind == "update_display_data" or self._is_captured:
            return
        self._clear_if_due()
        self._add(_Output(kind, forms, disposition, "", display))

    def clear(self, *, waits: bool) -> None:
        """Empties the cell, now or when the next output comes."""
        if waits:
            self._clears_next = True
        else:
            self._empty()

    def capture(self, *, is_on: bool) -> None:
        """Notes that a widget takes the outputs, so that they do not stand below the cell."""
        self._is_captured = is_on

    def facts(self) -> dict[str, Json]:
        """Returns what stands, in order, and which outputs elsewhere were changed."""
        facts: dict[str, Json] = {"displayed": [output.facts() for output in self._outputs]}
        if self._updates:
            facts["display_updates"] = [
                {"display": display, "forms": [{"type": m, "sha256": d} for m, d in forms]}
                for display, forms in self._updates.items()
            ]
        if self._left_out:
            facts["displayed_more"] = self._left_out
        return facts

    def _change(self, display: str, forms: Sequence[tuple[str, str]]) -> None:
        for output in self._outputs:
            if output.display == display:
                output.forms = forms
        if display in self._updates or len(self._updates) < MOST_STANDING:
            self._updates[display] = forms

    def _add(self, output: _Output) -> _Output | None:
        if len(self._outputs) >= MOST_STANDING:
            self._left_out += 1
            return None
        self._outputs.append(output)
        return output

    def _clear_if_due(self) -> None:
        if self._clears_next:
            self._empty()

    def _empty(self) -> None:
        self._outputs.clear()
        self._left_out = 0
        self._clears_next = False
