"""One execution while it runs: what is noted until its result is recorded."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cloister.core.volume import Amount
from cloister.sidecar.outgoing.outline import MOST_RECORDED_BYTES
from cloister.sidecar.recording.standing import Disposition, Standing
from cloister.sidecar.textguard import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cloister.core.records import Json
    from cloister.sidecar.outgoing.outline import Outline
    from cloister.sidecar.recording.fingerprints import Fingerprint
    from cloister.sidecar.recording.names import Names

MOST_DIGESTS: Final = 1000  # of one execution
MOST_REASONS: Final = 50
MOST_SUBJECTS: Final = 100


@dataclass(slots=True)
class Execution:
    """One request that runs code, from its intent to its result."""

    id: str
    code_sha256: str
    started_s: float
    code: str = ""
    names: Names | None = None
    outputs: list[bytes] = field(default_factory=list)
    digests: list[Json] = field(default_factory=list)
    recorded_bytes: int = 0
    shown: int = 0
    masked: int = 0
    blocked: int = 0
    observed: int = 0
    neutralised: int = 0
    shown_bytes: int = 0
    amount: Amount = field(default_factory=Amount)
    tally: Tally = field(default_factory=Tally)
    standing: Standing = field(default_factory=Standing)
    reasons: dict[tuple[str, str], int] = field(default_factory=dict)
    subjects: dict[str, None] = field(default_factory=dict)
    reads: list[dict[str, Json]] = field(default_factory=list)
    more_reads: int = 0
    real_paths: dict[str, Path] = field(default_factory=dict)
    fingerprints: dict[Path, Fingerprint] = field(default_factory=dict)
    egress: list[Json] = field(default_factory=list)
    spends: list[Json] = field(default_factory=list)
    frames: dict[str, dict[str, Json]] = field(default_factory=dict)
    frame_names: int = 0

    def take(
        self, output: Outline, disposition: Disposition, *, is_neutralised: bool = False
    ) -> None:
        """Counts an output as it left, and keeps its digest and, where it is short, its content."""
        for entity_type in disposition.entities:
            self.tally.add(entity_type)
        if disposition.word == "blocked":
            self.blocked += 1
        elif disposition.word == "masked":
            self.masked += 1
        else:
            self.shown += 1
            self.observed += disposition.word == "observed"
        self.neutralised += is_neutralised
        _add_subjects(self.subjects, output)
        self.shown_bytes += output.size
        self.amount += Amount(output.amount.rows, output.amount.cells, output.size)
        if len(self.digests) < MOST_DIGESTS:
            self.digests.append(output.digest)
        if output.content and self.recorded_bytes + len(output.content) <= MOST_RECORDED_BYTES:
            self.recorded_bytes += len(output.content)
            self.outputs.append(
                b'{"type":"%s","content":%s}' % (output.kind.encode(), output.content)
            )

    def block(self, code: str, rule: str) -> None:
        """Counts an output that did not leave, and why."""
        self.blocked += 1
        if code and (len(self.reasons) < MOST_REASONS or (code, rule) in self.reasons):
            self.reasons[code, rule] = self.reasons.get((code, rule), 0) + 1

    def facts(self) -> dict[str, Json]:
        """Returns what its result says of its outputs, reads and connections."""
        return {
            "duration_us": int((time.monotonic() - self.started_s) * 1e6),
            "outputs": {
                "shown": self.shown,
                "masked": self.masked,
                "blocked": self.blocked,
                **({"observed": self.observed} if self.observed else {}),
                **({"neutralised": self.neutralised} if self.neutralised else {}),
            },
            "output_digests": self.digests,
            **self.standing.facts(),
            **({"withheld": self._withheld()} if self.reasons else {}),
            "amount": {
                "rows": self.amount.rows,
                "cells": self.amount.cells,
                "bytes": self.amount.bytes,
            },
            "reads": [*self.reads],
            "egress": self.egress,
            **({"spends": self.spends} if self.spends else {}),
            "labels": [*sorted(self.tally.masked)],
            **_subject_facts(self.subjects),
        }

    def payload(self) -> bytes:
        """Returns its outputs as JSON; each was written so when it left."""
        return b'{"outputs":[%s]}' % b",".join(self.outputs)

    def _withheld(self) -> list[Json]:
        return [
            {"code": code, "rule": rule, "count": count}
            for (code, rule), count in self.reasons.items()
        ]


@dataclass(slots=True)
class Late:
    """Outputs that came after their execution had ended."""

    since_s: float
    count: int = 0
    observed: int = 0
    digests: list[Json] = field(default_factory=list)
    masked: dict[str, int] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)
    subjects: dict[str, None] = field(default_factory=dict)

    def take(self, output: Outline, tally: Tally, *, is_observed: bool = False) -> None:
        """Counts one of them."""
        self.count += 1
        self.observed += is_observed
        if len(self.digests) < MOST_DIGESTS:
            self.digests.append(output.digest)
        self.masked.update(tally.masked)
        _add_subjects(self.subjects, output)

    def facts(self) -> dict[str, Json]:
        """Returns what the record says of them."""
        return {
            "output_digests": [*self.digests],
            **self.standing.facts(),
            "count": self.count,
            **({"observed": self.observed} if self.observed else {}),
            "labels": [*sorted(self.masked)],
            **_subject_facts(self.subjects),
        }


def _add_subjects(subjects: dict[str, None], output: Outline) -> None:
    for subject in output.subjects:
        if len(subjects) < MOST_SUBJECTS:
            subjects[subject] = None


def _subject_facts(subjects: dict[str, None]) -> dict[str, Json]:
    return {"subjects": [{"subject": subject} for subject in subjects]} if subjects else {}


def disposition_of(
    output: Outline,
    tally: Tally,
    rule_of: Callable[[Sequence[str]], str],
    *,
    is_observed: bool = False,
    withheld: tuple[str, str] | None = None,
) -> Disposition:
    """Returns what became of an output.

    Args:
        output: Facts about it, after masking.
        tally: What was masked in it.
        rule_of: Returns the policy's rule for types of values.
        is_observed: Whether it left as it was, although the policy would have it otherwise.
        withheld: Code and rule where it, or one of its forms, was withheld.
    """
    # What the hooks have masked before holds tokens already; it is masked, not shown.
    entities = tuple(sorted({*tally.masked, *output.stand_ins}))
    if withheld is not None:
        return Disposition("blocked", withheld[1], withheld[0], entities)
    rule = rule_of(entities) if entities else ""
    if is_observed:
        return Disposition("observed", rule, "", entities)
    return Disposition("masked", rule, "", entities) if entities else Disposition("shown")
