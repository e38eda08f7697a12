"""What a column holds: names propose, values decide.

A spread sample of at most :data:`SAMPLE_ROWS` rows is looked at, never the whole column. Its unique
values run against anchored patterns and check digits; the lower end of the Wilson interval (Wilson
1927, 95 %) of the share that matches must reach :data:`DECIDING_SHARE`. The column's name decides
where values have no pattern (names of people), and only where the values do not speak against it.
Whatever cannot be read is at least internal.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from cloister.core.entities import default_level
from cloister.core.labels import Level
from cloister.detect.checksums import is_card, is_iban, is_ssn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from cloister.core.policy import ColumnRule

SAMPLE_ROWS: Final = 1024
DECIDING_SHARE: Final = 0.55
_FREE_TEXT_WORDS: Final = 5
_FREE_TEXT_CHARS: Final = 40
_HIGH_CARDINALITY: Final = 0.5


@dataclass(frozen=True, slots=True)
class ColumnFinding:
    """What a column holds.

    Attributes:
        name: The column's name, as text.
        entity_type: Presidio's name, or ``None``.
        level: How sensitive it is.
        free_text: Whether it is prose that may hold identifiers.
        confidence: 0 to 1.
        evidence: What it was learned from: ``values``, ``name``, ``declared``, ``cardinality``.
    """

    name: str
    entity_type: str | None
    level: Level
    free_text: bool
    confidence: float
    evidence: tuple[str, ...]


def _digits(value: str) -> str:
    return re.sub(r"\D", "", value)


def _is_phone(value: str) -> bool:
    return _PHONE.fullmatch(value) is not None and 7 <= len(_digits(value)) <= 15


def _is_ssn_text(value: str) -> bool:
    match = _SSN.fullmatch(value)
    return match is not None and is_ssn(*(int(part) for part in match.group(1, 2, 3)))


_SSN: Final = re.compile(r"(\d{3})[- ](\d{2})[- ](\d{4})")
_PHONE: Final = re.compile(
    r"(?=.*[ ().+-])\+?\d{0,3}[ .-]?\(?\d{2,5}\)?(?:[ .-]?\d{2,6}){1,5}(?: ?x\d{1,6})?"
)
_DATE: Final = re.compile(
    r"(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4})(?:[ T][\d:.Z+-]*)?"
)
_NUMBER: Final = re.compile(
    r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|(?i:nan|inf|true|false)"
)
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]{2,}")
_IP: Final = re.compile(
    r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)"
    r"|(?=.*:.*:)[0-9A-Fa-f:]{3,39}"
)
_NAME_VALUE: Final = re.compile(r"[^\W\d_][^\d@/\\<>{}\[\]=_|]{0,60}")

_BY_VALUE: Final[tuple[tuple[str, Callable[[str], bool]], ...]] = (
    ("EMAIL_ADDRESS", lambda v: _EMAIL.fullmatch(v) is not None),
    ("US_SSN", _is_ssn_text),
    ("CREDIT_CARD", lambda v: is_card(re.sub(r"[ -]", "", v)) if _looks_digits(v) else False),
    ("IBAN_CODE", lambda v: v[:2].isalpha() and is_iban(v.replace(" ", "").upper())),
    ("IP_ADDRESS", lambda v: _IP.fullmatch(v) is not None),
)


def _is_number_or_date(value: str) -> bool:
    return _NUMBER.fullmatch(value) is not None or _DATE.fullmatch(value) is not None


def _looks_digits(value: str) -> bool:
    return value[:1].isdigit() and len(_digits(value)) >= 13 and not value.isalpha()


def _any(_value: str) -> bool:
    return True


def _has_letters(value: str) -> bool:
    return any(c.isalpha() for c in value)


# Column names, in words: "dateOfBirth", "date_of_birth" and "DATE OF BIRTH" all read the same.
_BY_NAME: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...]] = (
    (
        "DATE_OF_BIRTH",
        re.compile(r"\b(?:dob|birth ?date|birthday|date of birth|born(?: on)?)\b"),
        lambda v: _DATE.fullmatch(v) is not None,
    ),
    ("US_SSN", re.compile(r"\b(?:ssn|social security)\b"), lambda v: len(_digits(v)) == 9),
    (
        "CREDIT_CARD",
        re.compile(r"\b(?:credit ?card|card (?:no|num|number)|cc ?num(?:ber)?|pan)\b"),
        lambda v: 12 <= len(_digits(v)) <= 19,
    ),
    ("IBAN_CODE", re.compile(r"\biban\b"), lambda v: v[:2].isalpha()),
    ("EMAIL_ADDRESS", re.compile(r"\be ?mail\b"), lambda v: "@" in v),
    (
        "PHONE_NUMBER",
        re.compile(r"\b(?:phone|telephone|tel|mobile|cell|fax)\b"),
        lambda v: 6 <= len(_digits(v)) <= 16,
    ),
    (
        "IP_ADDRESS",
        re.compile(r"\bip(?: ?addr(?:ess)?)?\b"),
        lambda v: _IP.fullmatch(v) is not None,
    ),
    ("MEDICAL_RECORD", re.compile(r"\b(?:mrn|medical record(?: (?:no|number|id))?)\b"), _any),
    (
        "PERSON",
        re.compile(
            r"^(?:name|names|full ?name|first ?name|last ?name|middle ?name|given ?name|sur ?name|"
            r"family ?name|maiden ?name|nick ?name|forename|fname|lname)$"
            r"|\b(?:patient|customer|client|person|employee|contact|user|member|doctor|physician|nurse|"
            r"author|owner|holder|guest|student|teacher|manager|player|passenger|applicant|spouse|"
            r"mother|father|next of kin)s?(?: full| first| last| given)? ?name$"
            r"|\b(?:first|last|given|middle|family) ?name\b|\bsurname\b"
        ),
        lambda v: _NAME_VALUE.fullmatch(v) is not None,
    ),
    ("STREET_ADDRESS", re.compile(r"\b(?:street|address(?: line)?(?: ?\d)?|addr)$"), _has_letters),
    (
        "POSTCODE",
        re.compile(r"\b(?:zip(?: ?code)?|post ?code|postal ?code)\b"),
        lambda v: 3 <= len(v) <= 10 and any(c.isdigit() for c in v),
    ),
    ("CITY", re.compile(r"\b(?:city|town)\b"), _has_letters),
    (
        "SECRET",
        re.compile(r"\b(?:password|passwd|pwd|secret|api ?key|token)\b"),
        lambda v: len(v) >= 6,
    ),
)


def classify_table(
    table: pa.Table,
    *,
    declared: Sequence[ColumnRule] = (),
    level_of: Callable[[str], Level] = default_level,
) -> list[ColumnFinding]:
    """Returns one finding for each column of a table, in order.

    Args:
        table: Any Arrow table.
        declared: The policy's column rules; the first that matches wins, upward.
        level_of: The policy's level of an entity type.
    """
    return [
        declare(classify_column(str(name), column, level_of=level_of), declared)
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]


def declare(finding: ColumnFinding, rules: Sequence[ColumnRule]) -> ColumnFinding:
    """Returns a finding with the first declared label that matches its name; levels only rise."""
    for rule in rules:
        if rule.matches(finding.name):
            return replace(
                finding,
                entity_type=rule.entity_type or finding.entity_type,
                level=max(rule.level, finding.level),
                confidence=1.0,
                evidence=("declared", *finding.evidence),
            )
    return finding


def classify_column(
    name: str,
    values: pa.Array | pa.ChunkedArray,
    *,
    level_of: Callable[[str], Level] = default_level,
) -> ColumnFinding:
    """Returns what a column holds; never raises for what is in it.

    Args:
        name: The column's name.
        values: Its values; only a spread sample is looked at.
        level_of: The policy's level of an entity type.
    """
    try:
        return _classify(name, values, level_of)
    except Exception:  # noqa: BLE001 - whatever a column holds, it must get a label
        return ColumnFinding(name, None, Level.CONFIDENTIAL, False, 0.0, ("unreadable",))  # noqa: FBT003


def spread_sample(values: Any, rows: int = SAMPLE_ROWS) -> Any:
    """Returns at most ``rows`` values spread evenly over an Arrow array, without nulls."""
    import numpy as np
    import pyarrow as pa

    if len(values) > rows:
        picks = np.linspace(0, len(values) - 1, rows).astype(np.int64)
        sample = values.take(pa.array(picks))
        if sample.null_count == rows:
            sample = values.drop_null()[:rows]  # nearly all null: look at what there is
        values = sample
    return values.drop_null()


def _classify(  # noqa: PLR0911 - one return for each kind of answer reads best
    name: str, values: Any, level_of: Callable[[str], Level]
) -> ColumnFinding:
    import pyarrow as pa

    kind = values.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    sample = spread_sample(values)
    texts = _texts(sample, kind)
    words = _name_words(name)
    if not texts:
        return _by_empty_name(name, words, level_of)
    by_value = _match_values(texts) if _is_textual(kind) or _is_whole(kind) else None
    if by_value is not None:
        entity_type, share = by_value
        return _found(name, entity_type, share, ("values",), level_of)
    for entity_type, pattern, accept in _BY_NAME:
        if pattern.search(words) and _share(texts, accept) >= DECIDING_SHARE:
            return _found(name, entity_type, 0.8, ("name",), level_of)
    if not _is_textual(kind) or _share(texts, _is_number_or_date) >= 0.95:
        level = Level.INTERNAL if pa.types.is_nested(kind) else Level.PUBLIC
        return ColumnFinding(name, None, level, False, 0.5, ("type",))  # noqa: FBT003
    if _share(texts, _is_phone) >= DECIDING_SHARE:
        return _found(name, "PHONE_NUMBER", 0.7, ("values",), level_of)
    if _is_prose(texts):
        level = max(level_of("FREE_TEXT"), Level.CONFIDENTIAL)
        return ColumnFinding(name, None, level, True, 0.7, ("values",))  # noqa: FBT003
    total = len(texts)
    unique = len(set(texts))
    if total >= 20 and unique / total > _HIGH_CARDINALITY:
        return ColumnFinding(name, None, Level.INTERNAL, False, 0.5, ("cardinality",))  # noqa: FBT003
    return ColumnFinding(name, None, Level.PUBLIC, False, 0.5, ())  # noqa: FBT003


def _found(
    name: str,
    entity_type: str,
    confidence: float,
    evidence: tuple[str, ...],
    level_of: Callable[[str], Level],
) -> ColumnFinding:
    return ColumnFinding(name, entity_type, level_of(entity_type), False, confidence, evidence)  # noqa: FBT003


def _by_empty_name(name: str, words: str, level_of: Callable[[str], Level]) -> ColumnFinding:
    """A column without values has only its name; it decides, since nothing speaks against it."""
    for entity_type, pattern, _accept in _BY_NAME:
        if pattern.search(words):
            return _found(name, entity_type, 0.5, ("name",), level_of)
    return ColumnFinding(name, None, Level.PUBLIC, False, 0.0, ())  # noqa: FBT003


def _match_values(texts: list[str]) -> tuple[str, float] | None:
    unique = list(dict.fromkeys(texts))[:256]
    for entity_type, accept in _BY_VALUE:
        hits = sum(map(accept, unique))
        if hits and (bound := wilson_lower(hits, len(unique))) >= min(
            DECIDING_SHARE, wilson_lower(len(unique), len(unique))
        ):
            return entity_type, bound
    return None


def wilson_lower(hits: int, total: int, z: float = 1.96) -> float:
    """Returns the lower end of the Wilson score interval for ``hits`` of ``total``."""
    share = hits / total
    centre = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (centre - spread) / (1 + z * z / total)


def _share(texts: list[str], accept: Callable[[str], bool]) -> float:
    return sum(map(accept, texts)) / len(texts)


def _is_prose(texts: list[str]) -> bool:
    words = sum(len(text.split()) for text in texts) / len(texts)
    chars = sum(map(len, texts)) / len(texts)
    return words >= _FREE_TEXT_WORDS and chars >= _FREE_TEXT_CHARS


def _name_words(name: str) -> str:
    """Returns a column name as lower-case words: ``DateOfBirth`` → ``date of birth``."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return re.sub(r"[\W_]+", " ", spaced).strip().lower()


def _is_textual(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _is_whole(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind))


def _texts(sample: Any, kind: Any) -> list[str]:
    import pyarrow as pa

    if pa.types.is_nested(kind):
        return ["(nested)"] * len(sample)
    texts = []
    for value in sample.to_pylist():
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if text := text.strip()[:1000]:
            texts.append(text)
    return texts
