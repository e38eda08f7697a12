"""Canary values: people who do not exist, made afresh for each run.

They look like what they stand for, so that detection, masks and the index treat them like real
ones: names from the gazetteer that are no ordinary words, numbers that pass their checks.
"""

from __future__ import annotations

import csv
import secrets
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SENSITIVE_COLUMNS: Final = ("name", "ssn", "email", "phone", "card")
_PATIENTS: Final = 6
_REPEATED: Final = 5  # a column of five visits for each: what repeats is still a person's
_SHORTEST_NAME: Final = 6
_LONGEST_NAME: Final = 11


class Choose(Protocol):
    """Picks one of several."""

    def __call__(self, options: Sequence[str], /) -> str:
        """Returns one of ``options``."""


@dataclass(frozen=True, slots=True)
class Canaries:
    """What a run looks for.

    Attributes:
        patients: Rows of the canary dataset, by column; the first ``count`` are all different.
        stranger: Somebody of whom no dataset knows: only patterns can recognise these values.
        secret: A text that lies where no kernel may read.
        mark: Part of the URL that rendered output must not call.
        proof: What code says when it could do what no kernel should be able to.
    """

    patients: tuple[dict[str, str], ...]
    stranger: dict[str, str]
    secret: str
    mark: str
    proof: str

    def values(self) -> list[tuple[str, str]]:
        """Returns column and value of every canary."""
        people = (*self.patients, self.stranger)
        return [(c, person[c]) for person in people for c in SENSITIVE_COLUMNS if c in person]

    def write(self, path: Path) -> None:
        """Writes the dataset as CSV."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.patients[0])
            writer.writeheader()
            writer.writerows(self.patients * _REPEATED)


def fresh_canaries(choose: Choose = secrets.choice) -> Canaries:
    """Makes a set of canaries.

    Args:
        choose: Where chance comes from; tests that must repeat pass their own.
    """
    taken: set[str] = set()
    patients = []
    for number in range(_PATIENTS):
        first = _unused(_names("given_names"), taken, choose)
        last = _unused(_names("surnames"), taken, choose)
        patients.append(
            {
                "name": f"{first.title()} {last.title()}",
                "ssn": _ssn(choose),
                "email": f"{first}.{last}@example.org",
                "phone": "+49 151 " + choose("23456789") + _digits(7, choose),
                "card": _card(choose),
                "sex": "FM"[number % 2],
            }
        )
    hexadecimal = "0123456789abcdef"
    return Canaries(
        tuple(patients),
        stranger={
            "ssn": _ssn(choose),
            "card": _card(choose),
            "email": f"{choose(_names('surnames'))}@example.org",
        },
        secret="planted-" + "".join(choose(hexadecimal) for _ in range(24)),
        mark="beacon" + "".join(choose(hexadecimal) for _ in range(16)),
        proof="proven-" + "".join(choose(hexadecimal) for _ in range(16)),
    )


def _unused(names: Sequence[str], taken: set[str], choose: Choose) -> str:
    while (name := choose(names)) in taken:
        pass
    taken.add(name)
    return name


@cache
def _names(kind: str) -> tuple[str, ...]:
    """Returns names that are long enough to be nothing else and stand for no ordinary word."""
    from cloister.detect import gazetteer

    found = gazetteer.given_names() if kind == "given_names" else gazetteer.surnames()
    return tuple(
        name
        for name in sorted(found.names)
        if name.isalpha() and _SHORTEST_NAME <= len(name) <= _LONGEST_NAME and found.is_sure(name)
    )


def _digits(count: int, choose: Choose) -> str:
    return "".join(choose("0123456789") for _ in range(count))


def _ssn(choose: Choose) -> str:
    # Area 1xx to 5xx, no group or serial number of zeros: what the SSA has given out.
    return f"{choose('12345')}{_digits(2, choose)}-{choose('123456789')}{choose('123456789')}-" + (
        choose("123456789") + _digits(3, choose)
    )


def _card(choose: Choose) -> str:
    """Returns a number of 16 digits with the check digit of ISO/IEC 7812-1 (Luhn)."""
    body = "4929" + _digits(11, choose)
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return body + str(-total % 10)
