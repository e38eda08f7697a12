"""A table of twenty mixed columns, the same for the same seed: what a display is made of.

Six columns identify somebody, four are secrets or numbers of accounts, and ten are what most of a
table is: keys, amounts, times, categories and prose. Most values of the text columns are unique, so
that looking at unique values alone saves little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS: Final = 20
_SEED: Final = 11

_GIVEN: Final = [
    "Maria",
    "James",
    "Wei",
    "Fatima",
    "Olga",
    "Juan",
    "Aisha",
    "Peter",
    "Linda",
    "Kenji",
    "Sofia",
    "David",
    "Amara",
    "Lars",
    "Ana",
]
_FAMILY: Final = [
    "Smith",
    "Garcia",
    "Chen",
    "Khan",
    "Ivanova",
    "Silva",
    "Okafor",
    "Jones",
    "Muller",
    "Tanaka",
    "Rossi",
    "Novak",
    "Berg",
]
_STREETS: Final = [
    "Oak Street",
    "High Road",
    "Mill Lane",
    "Park Avenue",
    "Station Road",
    "Elm Drive",
]
_CITIES: Final = ["Leeds", "Austin", "Lyon", "Porto", "Osaka", "Denver", "Graz", "Toledo"]
_WORDS: Final = [
    "the",
    "order",
    "was",
    "late",
    "and",
    "nobody",
    "answered",
    "so",
    "we",
    "sent",
    "another",
    "one",
    "from",
    "the",
    "store",
]


def mixed_table(rows: int) -> pa.Table:
    """Returns a table of ``rows`` rows and 20 columns."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(_SEED)
    return pa.table(
        {
            **_people(random, rows),
            **_numbers(random, rows),
            **_plain(random, rows),
        }
    )


def _people(random: Any, rows: int) -> dict[str, Any]:
    given, last = random.choice(_GIVEN, rows), random.choice(_FAMILY, rows)
    number = random.integers(1, 99_999, rows)
    area, line = random.integers(200, 999, rows), random.integers(1_000, 9_999, rows)
    return {
        "full_name": [f"{g} {f}" for g, f in zip(given, last, strict=True)],
        "email": [
            f"{g}.{f}{n}@example.org".lower() for g, f, n in zip(given, last, number, strict=True)
        ],
        "phone": [f"+1 ({a}) 555-{n}" for a, n in zip(area, line, strict=True)],
        "address": [
            f"{n % 900 + 1} {s}" for n, s in zip(number, random.choice(_STREETS, rows), strict=True)
        ],
        "birth_date": _dates(random, rows, 10_000, 1950),
        "ip": [".".join(map(str, four)) for four in random.integers(1, 255, (rows, 4)).tolist()],
    }


def _dates(random: Any, rows: int, days: int, first_year: int) -> list[str]:
    """Returns dates as ISO text, within some days of the first of January of a year."""
    import numpy as np

    start = np.datetime64(f"{first_year}-01-01")
    dates: list[str] = (start + random.integers(0, days, rows)).astype(str).tolist()
    return dates


def _numbers(random: Any, rows: int) -> dict[str, Any]:
    digits = random.integers(0, 10, (rows, 15))
    social = random.integers(100_000_000, 699_999_999, rows)
    keys = random.integers(0, 2**63, (rows, 2))
    return {
        "ssn": [f"{s[:3]}-{s[3:5]}-{s[5:]}" for s in map(str, social.tolist())],
        "card": _cards(digits),
        "iban": _ibans(random.integers(10**17, 10**18, rows).tolist()),
        "token": [f"{a:016x}{b:016x}" for a, b in keys.tolist()],
    }


def _cards(digits: Any) -> list[str]:
    """Returns sixteen-digit numbers with Luhn's check digit, that begin with 4."""
    import numpy as np

    digits[:, 0] = 4
    doubled = digits[:, ::2] * 2
    total = np.where(doubled > 9, doubled - 9, doubled).sum(axis=1) + digits[:, 1::2].sum(axis=1)
    whole = np.column_stack([digits, -total % 10])
    return ["".join(map(str, row)) for row in whole.tolist()]


def _ibans(accounts: list[int]) -> list[str]:
    """Returns German IBANs; ``DE`` and two zeros are 131400 behind the account."""
    return [f"DE{98 - (n * 10**6 + 131_400) % 97:02d}{n:018d}" for n in accounts]


def _plain(random: Any, rows: int) -> dict[str, Any]:
    import numpy as np

    return {
        "order_id": np.arange(rows) + 100_000,
        "amount": random.gamma(2.0, 40.0, rows).round(2),
        "quantity": random.integers(1, 20, rows),
        "score": random.normal(size=rows),
        "is_active": random.random(rows) < 0.7,
        "city": random.choice(_CITIES, rows),
        "status": random.choice(["open", "paid", "sent", "returned"], rows),
        "sku": [f"SKU-{n:06d}" for n in random.integers(0, 999_999, rows).tolist()],
        "created_at": np.datetime64("2024-01-01T00:00:00") + random.integers(0, 10**7, rows),
        "comment": [" ".join(row) for row in random.choice(_WORDS, (rows, 9)).tolist()],
    }
