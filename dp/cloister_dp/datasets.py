"""Which dataset of the ledger some data belongs to.

Three sources, in this order: what the caller says; what the guard noted on a frame when it was
read (``frame.attrs["cloister"]``, which pandas carries through filters and selections); nothing,
and then the data is charged to ``unattributed``, and a warning says so. The note is a fact of the
kernel, so this is help against mistakes, not against somebody who wants to charge another dataset.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloister_dp.errors import DatasetMismatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNATTRIBUTED = "unattributed"
"""The ledger's dataset for data of which nobody knows where it came from."""

IDENTIFIERS = frozenset(
    {
        "CREDIT_CARD",
        "EMAIL_ADDRESS",
        "FREE_TEXT",
        "IBAN_CODE",
        "IP_ADDRESS",
        "MEDICAL_RECORD",
        "PERSON",
        "PHONE_NUMBER",
        "SECRET",
        "STREET_ADDRESS",
        "US_SSN",
    }
)
"""Entity types that name a person or hold their words; a model of them would memorise people."""

ATTRS_KEY = "cloister"
_CATALOG = "catalog:"


class UnattributedWarning(UserWarning):
    """Data without a known dataset is charged to ``unattributed``."""


@dataclass(frozen=True, slots=True)
class ColumnNote:
    """What the guard noted on one column: its entity type, if any, and where it learned that."""

    entity_type: str | None
    source: str


def dataset_of(data: object, explicit: str | None = None) -> str:
    """Returns the ledger's name of the dataset that ``data`` belongs to.

    Args:
        data: A pandas frame or series, or anything else, which has no note.
        explicit: What the caller says.

    Raises:
        DatasetMismatch: The caller names another dataset than the data was read from, or the data
            holds columns of several and the caller names none.
    """
    noted = sorted(_noted_datasets(data))
    if len(noted) > 1:
        raise DatasetMismatch(
            f"This data holds columns of several datasets ({', '.join(noted)}),"
            " and one computation is charged to one dataset.",
            remedy="Select the columns of one dataset, or register the joined table and read it.",
        )
    if explicit is not None:
        if noted and noted != [explicit]:
            raise DatasetMismatch(
                f"This data was read from {noted[0]}, and a copy spends the budget of the"
                f" original, but it is to be charged to {explicit}.",
                remedy=f'Pass dataset="{noted[0]}", or leave dataset out.',
            )
        return explicit
    if noted:
        return noted[0]
    warnings.warn(
        f"It is not known which dataset this data belongs to; it is charged to {UNATTRIBUTED!r}."
        ' Pass dataset="NAME" to charge the dataset that it came from.',
        UnattributedWarning,
        stacklevel=4,
    )
    return UNATTRIBUTED


def column_notes(data: object) -> dict[str, ColumnNote]:
    """Returns what the guard noted on the columns of a frame; empty when it noted nothing."""
    attrs = _attrs(data)
    rows: object = attrs.get("columns", ()) if isinstance(attrs, dict) else attrs
    notes: dict[str, ColumnNote] = {}
    if isinstance(rows, tuple | list):
        for row in rows:
            if isinstance(row, tuple | list) and len(row) == 4:
                name, _level, entity_type, source = (str(x) for x in row)
                notes[name] = ColumnNote(entity_type or None, source)
    return notes


def identifies_people(entity_type: str | None) -> bool:
    """Returns whether columns of this entity type are refused as input of a model."""
    return entity_type in IDENTIFIERS


def _noted_datasets(data: object) -> Iterator[str]:
    attrs = _attrs(data)
    if isinstance(attrs, dict) and isinstance(attrs.get("dataset"), str):
        yield attrs["dataset"]
        return
    found = {
        part.removeprefix(_CATALOG)
        for note in column_notes(data).values()
        for part in note.source.split(" + ")
        if part.startswith(_CATALOG)
    }
    yield from found


def _attrs(data: object) -> object:
    attrs: Mapping[str, object] | object = getattr(data, "attrs", None)
    return attrs.get(ATTRS_KEY) if isinstance(attrs, dict) else None
