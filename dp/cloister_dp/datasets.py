"""Which dataset of the ledger some data belongs to.

Three sources, in this order: what the caller says; what the guard noted when the data was read,
which follows it through filters, joins and arithmetic (:mod:`cloister.core.carried`); nothing, and
then the data is charged to ``unattributed``, and a warning says so. The note is a fact of the
kernel, so this is help against mistakes, not against somebody who wants to charge another dataset.
"""

from __future__ import annotations

import warnings

from cloister.core.carried import column_notes

from cloister_dp.errors import DatasetMismatch

UNATTRIBUTED = "unattributed"
"""The ledger's dataset for data of which nobody knows where it came from."""

_CATALOG = "catalog:"


class UnattributedWarning(UserWarning):
    """Data without a known dataset is charged to ``unattributed``."""


def dataset_of(data: object, explicit: str | None = None) -> str:
    """Returns the ledger's name of the dataset that ``data`` belongs to.

    Args:
        data: A table, a column or an array; of anything else nothing is known.
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


def _noted_datasets(data: object) -> set[str]:
    return {
        part.removeprefix(_CATALOG)
        for note in column_notes(data).values()
        for part in note.source.split(" + ")
        if part.startswith(_CATALOG)
    }
