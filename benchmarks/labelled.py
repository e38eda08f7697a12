"""The labelled tables and texts, and the score of a prediction about them.

A set is a directory with ``tables/*.csv``, ``labels.csv`` (table, column, entity_type,
sensitivity, free_text) and ``text.jsonl`` (id, source, text, scope, spans). Entity types are
annotated as families, so that ``US_SSN`` and ``SSN`` are one, and a coarser answer may be right:
a date for a date of birth. What a column or a text is not annotated for is never held against
a prediction.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

NONE: Final = "NONE"

#: Names of one family, by the family's name.
_FAMILIES: Final = {
    "PERSON_NAME": "PERSON NAME FIRST_NAME LAST_NAME FULL_NAME",
    "EMAIL": "EMAIL_ADDRESS",
    "PHONE": "PHONE_NUMBER TELEPHONE FAX",
    "SSN": "US_SSN",
    "IBAN": "IBAN_CODE",
    "DATE": "DATE_TIME DATETIME TIME",
    "STREET_ADDRESS": "ADDRESS",
    "CRYPTO": "CRYPTO_ADDRESS",
    "DRIVER_LICENSE": "US_DRIVER_LICENSE DRIVERS_LICENSE",
    "BANK_ACCOUNT": "US_BANK_NUMBER BAN",
    "PASSPORT": "US_PASSPORT UK_PASSPORT",
    "NHS_NUMBER": "UK_NHS",
    "NATIONAL_ID": "UK_NINO IN_AADHAAR IT_IDENTITY_CARD ES_NIF AU_MEDICARE CA_SIN "
    "DE_HEALTH_INSURANCE DE_ID_CARD DE_SOCIAL_SECURITY ES_NIE FI_PERSONAL_IDENTITY_CODE IN_VOTER "
    "KR_FRN KR_RRN NG_NIN PH_UMID PL_PESEL SE_PERSONNUMMER SG_NRIC_FIN TH_TNIN TR_NATIONAL_ID "
    "US_MBI ZA_ID_NUMBER",
    "TAX_ID": "IN_PAN US_ITIN BR_CPF IT_FISCAL_CODE AU_ABN AU_TFN DE_TAX_ID IN_GSTIN IT_VAT_CODE "
    "KR_BRN PH_TIN",
    "BIC": "BIC_CODE",
    "IP_ADDRESS": "IPV4 IPV6 IP",
    "URL": "DOMAIN_NAME",
    "SECRET": "API_KEY HASH_OR_KEY TOKEN",
    "LOCATION": "GPE LOC",
    "ORG": "ORGANIZATION",
    "REGION": "US_STATE STATE",
    "RACE_ETHNICITY": "NRP",
    "PASSWORD": "PASSWORD_HASH",
    "VEHICLE": "VIN LICENSE_PLATE VEHICLE_ID",
    NONE: "UNKNOWN INTEGER FLOAT QUANTITY ORDINAL UUID MEDICAL_LICENSE PAD",
}
_FAMILY_OF: Final = {name: family for family, names in _FAMILIES.items() for name in names.split()}

#: Coarser answers that a type may be given.
_COARSER: Final[dict[str, frozenset[str]]] = {
    "DOB": frozenset({"DATE"}),
    "CARD_EXPIRY": frozenset({"DATE"}),
    "CITY": frozenset({"LOCATION"}),
    "REGION": frozenset({"LOCATION"}),
    "COUNTRY": frozenset({"LOCATION"}),
    "LOCATION": frozenset({"CITY", "REGION", "COUNTRY"}),
    "DATE": frozenset({"DOB"}),
    "PASSWORD": frozenset({"SECRET"}),
    "SECRET": frozenset({"PASSWORD"}),
}

#: What a pattern or a check digit can recognise in text; names, places and free dates are not.
PATTERNABLE: Final = frozenset(
    {
        *("BANK_ACCOUNT", "BIC", "CREDIT_CARD", "CRYPTO", "IBAN"),
        *("DOB", "DRIVER_LICENSE", "NATIONAL_ID", "NHS_NUMBER", "PASSPORT", "SSN", "TAX_ID"),
        *("EMAIL", "IMEI", "IP_ADDRESS", "MAC_ADDRESS", "PHONE", "URL", "VEHICLE"),
        *("PASSWORD", "SECRET"),
    }
)
#: What identifies a person, or opens something, directly.
CORE: Final = frozenset(
    {
        *("BANK_ACCOUNT", "CREDIT_CARD", "CRYPTO", "IBAN"),
        *("DOB", "DRIVER_LICENSE", "NATIONAL_ID", "NHS_NUMBER", "PASSPORT", "SSN", "TAX_ID"),
        *("EMAIL", "IP_ADDRESS", "MAC_ADDRESS", "PHONE", "URL"),
        *("DATE", "PERSON_NAME", "STREET_ADDRESS"),
        *("PASSWORD", "SECRET"),
    }
)
_SENSITIVE: Final = frozenset({"confidential", "restricted"})


class SetMissing(Exception):
    """There is no labelled set at the path."""


def family(entity_type: str | None) -> str:
    """Returns the family of an entity type; ``NONE`` for nothing."""
    name = (entity_type or NONE).upper().replace(" ", "_")
    return _FAMILY_OF.get(name, name)


def is_right(gold: str, said: str) -> bool:
    """Returns whether an answer, as a family, is right for an annotated type."""
    return said == gold or said in _COARSER.get(gold, ())


@dataclass(frozen=True, slots=True)
class Column:
    """An annotated column.

    Attributes:
        table: Its table's name.
        name: Its own.
        entity_type: A family; ``NONE`` where it holds nothing personal or secret.
        sensitivity: ``public``, ``internal``, ``confidential`` or ``restricted``.
        free_text: Whether it is prose.
    """

    table: str
    name: str
    entity_type: str
    sensitivity: str
    free_text: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A half-open range of characters and what is there, as a family."""

    start: int
    end: int
    entity_type: str


@dataclass(frozen=True, slots=True)
class Text:
    """An annotated text; ``scope`` has the families that are annotated without a gap."""

    id: str
    source: str
    text: str
    scope: frozenset[str]
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Tables and texts with what they hold."""

    directory: Path
    columns: tuple[Column, ...]
    texts: tuple[Text, ...]

    @classmethod
    def load(cls, directory: Path) -> LabelledSet:
        """Reads a set.

        Raises:
            SetMissing: The directory does not hold one.
        """
        labels, texts = directory / "labels.csv", directory / "text.jsonl"
        if not labels.is_file() or not texts.is_file():
            raise SetMissing(
                f"There is no labelled set at {directory}: labels.csv, text.jsonl and tables/*.csv "
                "are expected. Name its directory as the argument."
            )
        with labels.open(encoding="utf-8", newline="") as lines:
            columns = tuple(
                Column(
                    row["table"],
                    row["column"],
                    row["entity_type"],
                    row["sensitivity"],
                    row["free_text"] == "1",
                )
                for row in csv.DictReader(lines)
            )
        with texts.open(encoding="utf-8") as lines:
            return cls(directory, columns, tuple(_text(json.loads(line)) for line in lines))

    def tables(self) -> Iterator[tuple[str, Any]]:
        """Yields the name and the Arrow table of each table, all cells as text."""
        from pyarrow import csv as arrow_csv
        from pyarrow import string

        for path in sorted((self.directory / "tables").glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as lines:
                names = next(csv.reader(lines))
            yield (
                path.stem,
                arrow_csv.read_csv(
                    path,
                    parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
                    convert_options=arrow_csv.ConvertOptions(
                        column_types=dict.fromkeys(names, string()),
                        strings_can_be_null=True,
                        null_values=["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"],
                    ),
                ),
            )


def _text(raw: Mapping[str, Any]) -> Text:
    return Text(
        raw["id"],
        raw["source"],
        raw["text"],
        frozenset(raw["scope"]),
        tuple(Place(s["start"], s["end"], s["type"]) for s in raw["spans"]),
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said of a column: its entity type and, where a level is given, that."""

    entity_type: str | None
    level: str | None = None


@dataclass(slots=True)
class Tally:
    """Right, wrong and missing answers, by family."""

    right: Counter[str]
    wrong: Counter[str]
    missing: Counter[str]

    @classmethod
    def empty(cls) -> Tally:
        return cls(Counter(), Counter(), Counter())

    def scores(self, of: frozenset[str] | None = None) -> dict[str, float]:
        """Returns precision, recall and F1, over some families or all."""

        def count(counter: Counter[str]) -> int:
            return sum(n for name, n in counter.items() if of is None or name in of)

        return _scores(count(self.right), count(self.wrong), count(self.missing))

    def by_family(self) -> dict[str, dict[str, float]]:
        """Returns the scores of each family and how often it is annotated."""
        names = sorted({*self.right, *self.wrong, *self.missing})
        return {
            name: self.scores(frozenset({name})) | {"gold": self.right[name] + self.missing[name]}
            for name in names
        }


def _scores(right: int, wrong: int, missing: int) -> dict[str, float]:
    precision = right / (right + wrong) if right + wrong else 0.0
    recall = right / (right + missing) if right + missing else 0.0
    both = precision + recall
    f1 = 2 * precision * recall / both if both else 0.0
    return {"P": round(precision, 3), "R": round(recall, 3), "F1": round(f1, 3)}


def _share(part: int, whole: int) -> float:
    return round(part / max(1, whole), 3)


def score_columns(
    columns: Sequence[Column], answers: Mapping[tuple[str, str], Answer]
) -> dict[str, Any]:
    """Scores answers about columns, given by table and column; none means ``NONE``.

    Returns:
        ``micro`` and ``core`` (P, R, F1 without and with only core families), ``none_kept`` (share
        of ``NONE`` columns left alone), ``restricted_recall`` (share of restricted columns found
        confidential or more; ``None`` where no levels are given) and ``by_family``.
    """
    tally = Tally.empty()
    none = none_kept = restricted = restricted_found = 0
    has_levels = any(answer.level for answer in answers.values())
    for column in columns:
        answer = answers.get((column.table, column.name), Answer(None))
        gold, said = column.entity_type, family(answer.entity_type)
        none += gold == NONE
        if gold == NONE and said == NONE:
            none_kept += 1
        elif is_right(gold, said):
            tally.right[gold] += 1
        else:
            if gold != NONE:
                tally.missing[gold] += 1
            if said != NONE:
                tally.wrong[said] += 1
        if column.sensitivity == "restricted":
            restricted += 1
            restricted_found += answer.level in _SENSITIVE
    return {
        "columns": len(columns),
        "micro": tally.scores(),
        "core": tally.scores(CORE),
        "none_kept": _share(none_kept, none),
        "restricted_recall": _share(restricted_found, restricted) if has_levels else None,
        "by_family": tally.by_family(),
    }


def score_texts(texts: Sequence[Text], found: Mapping[str, Sequence[Place]]) -> dict[str, Any]:
    """Scores places found in texts, given by the text's id; types as families.

    Returns:
        ``strict`` and ``overlap`` (P, R, F1: the same characters, or some of them),
        ``patternable`` (overlap, of types that a pattern can recognise), ``leaked`` (share of
        annotated characters that nothing found covers) and ``by_family`` (overlap).
    """
    strict, overlap = Tally.empty(), Tally.empty()
    annotated = leaked = 0
    for text in texts:
        places = found.get(text.id, ())
        covered: set[int] = set()
        for place in places:
            covered.update(range(place.start, place.end))
        for gold in text.places:
            annotated += gold.end - gold.start
            leaked += sum(i not in covered for i in range(gold.start, gold.end))
        _tally_text(strict, text, places, is_strict=True)
        _tally_text(overlap, text, places, is_strict=False)
    return {
        "texts": len(texts),
        "strict": strict.scores(),
        "overlap": overlap.scores(),
        "patternable": overlap.scores(PATTERNABLE),
        "leaked": _share(leaked, annotated),
        "by_family": overlap.by_family(),
    }


def _tally_text(tally: Tally, text: Text, places: Sequence[Place], *, is_strict: bool) -> None:
    """Matches each annotated place with the first found one of its type that nobody took."""

    def matches(gold: Place, said: Place) -> bool:
        if not is_right(gold.entity_type, said.entity_type):
            return False
        if is_strict:
            return (said.start, said.end) == (gold.start, gold.end)
        return said.start < gold.end and gold.start < said.end

    taken: set[int] = set()
    for gold in text.places:
        hit = next(
            (i for i, p in enumerate(places) if i not in taken and matches(gold, p)),
            None,
        )
        if hit is None:
            tally.missing[gold.entity_type] += 1
        else:
            taken.add(hit)
            tally.right[gold.entity_type] += 1
    for i, said in enumerate(places):
        if i in taken or not _counts(said.entity_type, text.scope):
            continue
        # A second piece of what was found is no new mistake.
        if not is_strict and any(matches(gold, said) for gold in text.places):
            continue
        tally.wrong[said.entity_type] += 1


def _counts(said: str, scope: Iterable[str]) -> bool:
    return said != NONE and any(is_right(annotated, said) for annotated in scope)
