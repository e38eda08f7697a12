"""Scans the files of a dataset thoroughly, outside any kernel and off every hot path."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cloister.core.policy import Policy
    from cloister.sidecar.scan import ColumnLabel
    from cloister.store.catalog import Dataset
    from cloister.store.home import Home


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """What a scan found in one file.

    Attributes:
        name: The file's name.
        labels: Labels by column; columns of which nothing is known are public.
        values: How many of its values and spellings are recognised in outputs.
    """

    name: str
    labels: Mapping[str, ColumnLabel]
    values: int

    def as_dict(self) -> dict[str, Any]:
        """Returns it for JSON."""
        labels = {column: asdict(label) for column, label in self.labels.items()}
        return {"file": self.name, "values": self.values, "columns": labels}


def scan_dataset(
    home: Home, policy: Policy, dataset: Dataset, note: Callable[[str], None]
) -> list[ScannedFile]:
    """Scans every table of a dataset and keeps what was found for the kernels that read it.

    Args:
        home: Where it is kept.
        policy: The policy in force.
        dataset: Whose files are scanned.
        note: Says to people what the scan cannot see.

    Raises:
        CloisterError: A file cannot be read; what was scanned before it is kept.
    """
    from cloister.detect.analysis import Thorough
    from cloister.detect.exact import ExactIndex
    from cloister.detect.recognizers import Recognizers
    from cloister.detect.second_opinion import second_opinion
    from cloister.detect.tablefile import is_table_file
    from cloister.sidecar.scan import Scanner
    from cloister.store.catalog import Catalog
    from cloister.store.keys import open_keyring

    recognizers = Recognizers.of(policy)
    key = open_keyring(home).index_key
    found = []
    is_complete, has_text = True, False
    for file in filter(is_table_file, dataset.files()):
        index, search = ExactIndex(key), Thorough(recognizers)
        scan = Scanner(home, key, policy, Catalog(home), index, thorough=search).scan(file)
        found.append(ScannedFile(file.name, scan.labels, len(index)))
        is_complete &= search.is_complete
        has_text |= any(label.entity_type == "FREE_TEXT" for label in scan.labels.values())
    if not is_complete:
        note(f"Of each file, the first {search.most:,} texts had a second opinion.")
    unseen = second_opinion(recognizers).cannot_see
    if has_text and unseen:
        note(unseen)
    return found
