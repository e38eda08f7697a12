"""Does a record still contain what a checkpoint covered that somebody kept?

Verifying a record finds what does not fit *in it*. Whoever has the signing key makes a history that
fits; it is told from the true one by comparing roots with what others remember.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloister.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloister.store.checkpoint import Checkpoint
    from cloister.store.evidence.reader import EvidenceReader
    from cloister.store.lineage_verify import VerifyReport


def compared(
    report: VerifyReport, reader: EvidenceReader, kept: Iterable[Checkpoint]
) -> VerifyReport:
    """Adds to a report what checkpoints that were kept say.

    Args:
        report: What verifying the record found. Only of a record that is whole do the stored
            hashes stand for its events; of another one nothing is added but its length.
        reader: The same record.
        kept: Checkpoints whose signature was verified.
    """
    sizes = sorted(kept, key=lambda checkpoint: checkpoint.size)
    problems = []
    longest = sizes[-1].size if sizes else 0
    if longest > report.events:
        problems.append(f"{report.events} events are left of {longest} that a checkpoint knows")
    elif report.ok:
        problems += _differing(reader, sizes)
    if not problems:
        return report
    first_bad = report.events if longest > report.events else None
    return replace(
        report,
        ok=False,
        first_bad=first_bad if report.first_bad is None else report.first_bad,
        problems=(*report.problems, *problems),
    )


def _differing(reader: EvidenceReader, kept: list[Checkpoint]) -> list[str]:
    """Returns the first place where the record leaves what was kept."""
    try:
        roots = reader.roots([checkpoint.size for checkpoint in kept])
    except StoreUnavailable as error:
        return [error.message]
    for checkpoint, root in zip(kept, roots, strict=True):
        if checkpoint.root != root:
            return [f"the first {checkpoint.size} events differ from a checkpoint that was kept"]
    return []
