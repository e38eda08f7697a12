"""Ordinary output of notebooks is left alone by an index of a million values of real kinds.

Given names and surnames are indexed as words, too, so texts that name people are no part of this.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib.metadata
import json
import pydoc
import re
import sys
import traceback
import uuid
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cloister.detect.company import RowColumn
from cloister.detect.exact import ExactIndex

ROWS = 120_000
RNG = np.random.default_rng(17)
DOCS = Path(__file__).parents[2] / "docs"


GIVEN_NAMES = """
    James Robert John Michael David William Richard Joseph Thomas Christopher Charles Daniel
    Matthew Anthony Steven Andrew Kenneth Joshua Kevin Brian Timothy Ronald Jason Jeffrey Jacob
    Nicholas Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Karen Lisa Nancy Sandra
    Ashley Emily Kimberly Margaret Donna Michelle Carol Amanda Melissa Deborah Stephanie Rebecca
    Sharon Laura
"""
SURNAMES = """
    Smith Johnson Williams Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez
    Wilson Anderson Thomas Taylor Moore Jackson Martin Perez Thompson Harris Sanchez Clark Ramirez
    Lewis Robinson Walker Allen Wright Torres Nguyen Hill Flores Adams Nelson Baker Campbell
    Mitchell Carter Roberts Gomez Phillips Evans Turner Diaz Cruz Edwards Collins Reyes Stewart
    Morris Morales Murphy Cook Rogers Gutierrez Ortiz Morgan Cooper Peterson Bailey Reed Kelly
    Howard Kim Richardson
"""
TOWNS = "Lakeport Northtown Eastville Newland Southborough Westchester Marymouth Kingsview"


def picked(names: str) -> list[str]:
    return RNG.choice(names.split(), ROWS).tolist()


def column(entity_type: str, values: list[str]) -> RowColumn:
    codes, distinct = pd.factorize(pd.Series(values))
    return RowColumn(entity_type, distinct.tolist(), codes.astype(np.int64))


@pytest.fixture(scope="module")
def index() -> ExactIndex:
    """Names as people have them, numbers of nine and of seven digits, days, cities, codes."""
    first, last = picked(GIVEN_NAMES), picked(SURNAMES)
    columns = {
        "PERSON": [f"{a} {b}" for a, b in zip(first, last, strict=True)],
        "US_SSN": [f"{n:09d}" for n in RNG.integers(10**6, 9 * 10**8, ROWS)],
        "PHONE_NUMBER": [
            f"({n // 10**7}) {n // 10**4 % 1000:03d}-{n % 10**4:04d}"
            for n in RNG.integers(2 * 10**9, 10**10, ROWS)
        ],
        "EMAIL_ADDRESS": [
            f"{a}.{b}{i}@example.org".lower()
            for i, (a, b) in enumerate(zip(first, last, strict=True))
        ],
        "CUSTOMER_ID": [str(n) for n in range(1_000_000, 1_000_000 + ROWS)],
        "DOB": [str(date(1930, 1, 1) + timedelta(int(n))) for n in RNG.integers(0, 33_000, ROWS)],
        "STREET_ADDRESS": [
            f"{n} {street} Street"
            for n, street in zip(RNG.integers(1, 999, ROWS), picked(SURNAMES), strict=True)
        ],
        "MEDICAL": [
            f"{chr(65 + n % 26)}{n % 97:02d}.{n % 10}" for n in RNG.integers(0, 9_999, ROWS)
        ],
        "POSTCODE": [f"{n:05d}" for n in RNG.integers(501, 99_950, ROWS)],
        "CITY": picked(TOWNS),
    }
    made = ExactIndex(b"k" * 32, today=date(2026, 11, 23))
    for entity_type, values in columns.items():
        made.add(entity_type, values)
    rows = {**columns, "first": first, "last": last, "age": [str(n % 97) for n in range(ROWS)]}
    types = {"first": "PERSON", "last": "PERSON", "age": "AGE"}
    made.add_rows([column(types.get(name, name), values) for name, values in rows.items()])
    made.add("PERSON", first)
    made.add("PERSON", last)
    return made


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": np.arange(2_000),
            "price": RNG.normal(100, 15, 2_000).round(2),
            "units": RNG.integers(0, 5_000, 2_000),
            "day": pd.date_range("2024-01-01", periods=2_000, freq="h"),
            "kind": RNG.choice(["alpha", "beta", "gamma"], 2_000),
            "total": RNG.integers(10**5, 10**7, 2_000) / 100,
        }
    )


def failure() -> str:
    try:
        argparse.ArgumentParser(exit_on_error=False).parse_args(["--x"])
        json.loads("{")
    except (Exception, SystemExit):  # noqa: BLE001 - any traceback will do
        return traceback.format_exc() * 20
    return ""


ORDINARY = {
    "describe": lambda: table().describe(include="all").to_string(),
    "frame": lambda: table().to_string(),
    "frame in HTML": lambda: table().to_html(max_rows=300),
    "frame in CSV": lambda: table().to_csv(),
    "records": lambda: table().head(500).to_json(orient="records", date_format="iso"),
    "value counts": lambda: table()["units"].value_counts().to_string(),
    "correlations": lambda: table().corr(numeric_only=True).to_string() * 20,
    "integers": lambda: np.array2string(RNG.integers(0, 999, (800, 20)), threshold=10**6),
    "bytes": lambda: str(RNG.integers(0, 256, 20_000).tolist()),
    "bits": lambda: np.array2string(RNG.integers(0, 2, (300, 60)), threshold=10**6),
    "floats": lambda: np.array2string(RNG.normal(size=(800, 8)), threshold=10**6),
    "seconds": lambda: "\n".join(str(1_700_000_000 + 977 * n) for n in range(3_000)),
    "sizes": lambda: "\n".join(f"{n:,} bytes" for n in RNG.integers(0, 10**8, 2_000)),
    "hashes": lambda: "\n".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(250)),
    "commits": lambda: "\n".join(
        hashlib.sha256(bytes([n])).hexdigest()[:8] + " fix the build" for n in range(250)
    ),
    "UUIDs": lambda: "\n".join(str(uuid.UUID(bytes=RNG.bytes(16))) for _ in range(500)),
    "picture": lambda: "iVBORw0KGgo" + base64.b64encode(RNG.bytes(80_000)).decode(),
    "binary": lambda: base64.encodebytes(RNG.bytes(80_000)).decode(),
    "packages": lambda: "\n".join(
        f"{d.metadata['Name']:30}{d.version}" for d in importlib.metadata.distributions()
    ),
    "traceback": failure,
    "help": lambda: pydoc.render_doc(pd.DataFrame.merge) + pydoc.render_doc(str),
    "code": lambda: Path(json.decoder.__file__).read_text("utf-8"),
    "prose": lambda: "\n".join(
        re.sub(r"\d{4}-\d\d-\d\d", "", p.read_text("utf-8"))  # examples of birth dates
        for p in sorted((DOCS / "how-to").glob("*.md"))
    ),
    "training": lambda: "\n".join(
        f"Epoch {n}/500 [{'=' * 20}] 1875/1875 - 3s 2ms/step - loss: {RNG.random():.4f} "
        f"- accuracy: {RNG.random():.4f} - val_loss: {RNG.random():.4f}"
        for n in range(500)
    ),
    "log": lambda: "\n".join(
        f"2026-11-23 15:04:{n % 60:02d},{n % 997:03d} INFO worker[{n % 8}] GET /items/{n} 200"
        for n in range(1_500)
    ),
    "platform": lambda: sys.version + repr(sys.flags) + repr(sys.path),
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_output_is_left_alone(index, kind):
    text = ORDINARY[kind]()[:100_000]
    assert len(text) > 100
    assert [text[s.start : s.end] for s in index.find(text)] == []
