"""Which records of a request a vendor gets, and which of their fields.

A record leaves when the catalogued data has its key, everybody behind the key agreed, and what it
says is what the data says. Then the listed fields leave, and nothing else. A field that the
kernel has filled with something of its own would carry other people's data past their consent, so
such a record stays.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloister.sidecar.llm.consent import canonical
from cloister.sidecar.llm.refusals import no_enrichment, nothing_left

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.core.providers import Enrichment
    from cloister.sidecar.llm.consent import ConsentBook, Person
    from cloister.sidecar.llm.documents import Json


@dataclass(slots=True)
class Filtering:
    """What was decided about one request, for the record; never a value.

    Attributes:
        rows: Records that were to be sent.
        sent: Records that leave.
        withheld: Records that do not, by reason: ``consent``, ``unknown``, ``differs``.
        fields_withheld: How many fields were taken out of those that leave.
    """

    rows: int = 0
    sent: int = 0
    withheld: Counter[str] = field(default_factory=Counter)
    fields_withheld: int = 0


def filtered(
    document: Json,
    provider: str,
    terms: Enrichment,
    book: ConsentBook,
    note: Callable[[Filtering], None],
) -> Json:
    """Returns the request with the records and fields that may leave.

    Args:
        document: The request.
        provider: Name of the vendor.
        terms: What it gets.
        book: Says who agreed.
        note: Told what was decided, before anything is refused for want of records.

    Raises:
        Refusal: The request is not made of records, or none of them may leave.
    """
    records = _records(document, provider, terms)
    keys = {canonical(record.get(terms.key)) for record in records} - {""}
    people = book.people(provider, terms, keys)
    decided = Filtering(rows=len(records))
    kept = []
    for record in records:
        why = _withheld(record, terms, people)
        if why is not None:
            decided.withheld[why] += 1
            continue
        kept.append({name: record[name] for name in terms.fields if name in record})
        decided.fields_withheld += len(record) - len(kept[-1])
    decided.sent = len(kept)
    note(decided)
    if not kept:
        raise nothing_left(provider, decided.withheld)
    if terms.records is None:
        return kept if isinstance(document, list) else kept[0]
    return {**_object(document), terms.records: kept}


def others(document: Json, terms: Enrichment) -> Json:
    """Returns what a request says beside its records."""
    if terms.records is None:
        return None
    return {key: value for key, value in _object(document).items() if key != terms.records}


def _withheld(record: dict[str, Any], terms: Enrichment, people: dict[str, Person]) -> str | None:
    """Returns why a record stays; ``None`` when it leaves."""
    person = people.get(canonical(record.get(terms.key)))
    if person is None:
        return "unknown"
    if not person.agreed:
        return "consent"
    for name in terms.fields:
        said = canonical(record.get(name))
        if said and said not in person.values[name]:
            return "differs"
    return None


def _object(document: Json) -> dict[str, Any]:
    return document if isinstance(document, dict) else {}


def _records(document: Json, provider: str, terms: Enrichment) -> list[dict[str, Any]]:
    found: Any = document if terms.records is None else _object(document).get(terms.records)
    if terms.records is None and isinstance(document, dict):
        found = [document]
    is_flat = isinstance(found, list) and all(
        isinstance(record, dict) and not any(isinstance(v, (dict, list)) for v in record.values())
        for record in found
    )
    if not is_flat or not found:
        where = f"the member {terms.records}" if terms.records else "the request"
        raise no_enrichment(
            provider,
            f"{where} is not a list of flat records",
            "Send JSON, one object for each row: df.to_dict('records').",
            rule="enrichment.records",
        )
    return list(found)
