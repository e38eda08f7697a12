"""What the columns of a table hold, each by itself and in the light of the others.

How one column is decided is :mod:`cloister.detect.column`. A table about people makes more of
some names: an ``amount`` among e-mail addresses is somebody's, and an ``id`` is a person's key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cloister.core.entities import default_level
from cloister.detect.column import ColumnClassifier
from cloister.detect.finding import declare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from cloister.core.labels import Level
    from cloister.core.policy import ColumnRule
    from cloister.detect.finding import ColumnFinding
    from cloister.detect.recognizers import Recognizers

# One of these in a table says that its rows are people.
_DIRECT: Final = frozenset(
    {
        "AGE",
        "DOB",
        "EMAIL_ADDRESS",
        "GENDER",
        "MARITAL_STATUS",
        "MEDICAL_RECORD",
        "NATIONAL_ID",
        "PERSON",
        "PHONE_NUMBER",
        "US_SSN",
        "USERNAME",
    }
)
# One of these says that its rows belong to people.
_LINKED: Final = _DIRECT | {
    "BANK_ACCOUNT",
    "CREDIT_CARD",
    "FINANCIAL",
    "IBAN_CODE",
    "PERSON_ID",
    "SALARY",
}


def classify_table(
    table: pa.Table,
    *,
    declared: Sequence[ColumnRule] = (),
    level_of: Callable[[str], Level] = default_level,
    recognizers: Recognizers | None = None,
) -> list[ColumnFinding]:
    """Returns one finding for each column of a table, in order.

    Args:
        table: Any Arrow table; names may repeat.
        declared: The policy's column rules; the first that matches counts, upward.
        level_of: The policy's level of an entity type.
        recognizers: The policy's own types and allow list.
    """
    columns = [(str(n), c) for n, c in zip(table.column_names, table.columns, strict=True)]
    classifiers = [ColumnClassifier(name, level_of, recognizers) for name, _ in columns]
    findings = [
        classifier.classify(column)
        for classifier, (_, column) in zip(classifiers, columns, strict=True)
    ]
    found = {finding.entity_type for finding in findings}
    if found & _LINKED:
        are_people = bool(found & _DIRECT)
        findings = [
            classifier.reconsider(finding, may_be_key=are_people)
            for classifier, finding in zip(classifiers, findings, strict=True)
        ]
    return [declare(finding, declared) for finding in findings]


def classify_column(
    name: str,
    values: pa.Array | pa.ChunkedArray,
    *,
    level_of: Callable[[str], Level] = default_level,
    recognizers: Recognizers | None = None,
) -> ColumnFinding:
    """Returns what a column holds; never raises for what is in it.

    Args:
        name: The column's name.
        values: Its values; only a spread sample is looked at.
        level_of: The policy's level of an entity type.
        recognizers: The policy's own types and allow list.
    """
    return ColumnClassifier(name, level_of, recognizers).classify(values)
