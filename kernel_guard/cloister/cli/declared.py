"""What a declaration is compared with: the level that detection and the policy give a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from cloister.core.labels import Level
    from cloister.core.policy import Policy
    from cloister.store.catalog import Dataset

_MOST_FILES: Final = 32
"""Files of a dataset that are looked at. Too few can only make a lowering take no effect: a label
that was not seen to be a lowering never stands against detection."""


def level_found(policy: Policy, dataset: Dataset, column: str) -> Level | None:
    """Returns the highest level of a column in the files of a dataset, without the catalogue.

    Args:
        policy: Its levels, and its own column rules.
        dataset: Whose files are looked at.
        column: The column's exact name.

    Returns:
        The level, or ``None`` when no file that can be read has the column.
    """
    from cloister.detect.files import classify_file
    from cloister.detect.recognizers import Recognizers
    from cloister.detect.tablefile import is_table_file

    found: Level | None = None
    files = [file for file in dataset.files() if is_table_file(file)]
    for file in files[:_MOST_FILES]:
        try:
            findings, _rows = classify_file(
                file,
                declared=policy.columns,
                level_of=policy.level_of,
                recognizers=Recognizers.of(policy),
            )
        except CloisterError:
            continue  # no table; the scan of the dataset says so
        for finding in findings:
            if finding.name == column:
                found = finding.level if found is None else max(found, finding.level)
    return found


def refuse_values(policy: Policy, reason: str) -> None:
    """Refuses a reason that quotes data: it goes into the catalogue and the record in clear.

    Raises:
        CloisterError: It holds what looks like a sensitive value (``CLO-INPUT-009``).
    """
    from cloister.detect.recognizers import Recognizers
    from cloister.detect.text import find_spans

    spans = find_spans(reason, Recognizers.of(policy))
    if spans:
        kinds = ", ".join(sorted({span.entity_type for span in spans}))
        raise CloisterError(
            f"The reason holds what looks like a value ({kinds}), and it is stored in clear.",
            code="CLO-INPUT-009",
            remedy="Say it without an example from the data.",
        )
