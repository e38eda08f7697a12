"""The seam between the record and the formats that it leaves in, and the list of them."""

from __future__ import annotations

import importlib
from typing import IO, TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from cloister.store.exports.view import RecordView

FORMATS: Final = {
    "jsonl": "cloister.store.exports.jsonl:JsonLines",
    "openlineage": "cloister.store.exports.openlineage:OpenLineage",
    "prov-json": "cloister.store.exports.prov:ProvJson",
    "ro-crate": "cloister.store.exports.rocrate:RoCrate",
    "ocsf": "cloister.store.exports.ocsf:Ocsf",
    "cef": "cloister.store.exports.cef:Cef",
    "parquet": "cloister.store.exports.parquet:Parquet",
}


class Exporter(Protocol):
    """Writes what is chosen of a record in one format.

    Headers leave, payloads never do. Memory stays the same whatever the number of events. Texts in
    a record were chosen by others: none may begin a line or a field of its own.

    Attributes:
        suffix: What the name of a file of this format ends in.
        is_stream: Whether it is written from its beginning to its end, so that a pipe can take it.
    """

    suffix: str
    is_stream: bool

    def write(self, view: RecordView, out: IO[bytes]) -> int:
        """Writes it.

        Returns:
            How many events of the record it holds or joins.

        Raises:
            StoreUnavailable: The record cannot be read; what was written is not whole.
        """
        ...


def exporter(name: str) -> Exporter:
    """Returns the exporter of a format.

    Raises:
        CloisterError: What the format needs is not installed (``CLO-EXPORT-003``).
    """
    module, _, attribute = FORMATS[name].partition(":")
    made: Exporter = getattr(importlib.import_module(module), attribute)()
    return made
