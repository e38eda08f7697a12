"""Outputs that hold nobody's data arrive as a plain kernel sends them: no false block, no change.

The guarded kernel's index is full of people. Every cell of ``ordinary/`` runs in it and in a plain
kernel, and what a client gets must be the same: text and markup character by character, pictures
pixel by pixel, everything else value by value.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image, ImageSequence

FAMILIES = sorted(Path(__file__).with_name("ordinary").glob("*.yaml"))
PEOPLE = 20_000
MIN_CASES = 500
RNG = np.random.default_rng(23)
GIVEN_NAMES = "Maria Ines Tomasz Zebulon Ingrid Yevgenia Chidi Amara Oluwaseun"
SURNAMES = "Lindqvist Quartermain Vasquez Okonkwo Castellanos Nakamura"
#: What differs between any two processes.
_VOLATILE = (
    (re.compile(r"0x[0-9a-f]{8,}"), "0x…"),
    (re.compile(r"/tmp/ipykernel_\d+/"), "/tmp/ipykernel/"),
    (re.compile(r"(?<=[\"'#-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "id"),
)


#: Cells that are there to show nothing.
SILENT = {"assigned", "nothing"}

_EMBEDDED = re.compile(r"data:image/(?:png|jpeg|gif);base64,([A-Za-z0-9+/=\s]+)")


def cells(family: dict) -> dict[str, str]:
    """Returns the code of a family's cells by name."""
    named = dict(family["cases"])
    for name, each in family.get("each", {}).items():
        for value in each["values"]:
            named[f"{name}-{value}"] = each["code"].replace("$it", str(value))
    return named


CASES = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in FAMILIES}


def people() -> pd.DataFrame:
    """Returns a table that fills the index: names, numbers, days, money, places."""
    first = RNG.choice(GIVEN_NAMES.split(), PEOPLE)
    last = RNG.choice(SURNAMES.split(), PEOPLE)
    return pd.DataFrame(
        {
            "name": [f"{a} {b}" for a, b in zip(first, last, strict=True)],
            "ssn": [f"{n:09d}" for n in RNG.integers(10**6, 7 * 10**8, PEOPLE)],
            "mrn": np.arange(4_000_000, 4_000_000 + PEOPLE),
            "birth_date": pd.to_datetime("1930-01-01")
            + pd.to_timedelta(RNG.integers(0, 30_000, PEOPLE), unit="D"),
            "postcode": [f"{n:05d}" for n in RNG.integers(501, 99_950, PEOPLE)],
            "phone": [f"+1 212 555 {n:04d}" for n in RNG.integers(0, 9_999, PEOPLE)],
            "salary": RNG.integers(20_000, 190_000, PEOPLE),
            "age": RNG.integers(0, 99, PEOPLE),
        }
    )


def outputs(kernel, code: str) -> list[object]:
    """Returns what a client gets of one cell, in a form that can be compared."""
    result = kernel.run(code)
    seen: list[object] = [("status", result.status)]
    for kind, content in result.messages:
        if kind == "stream":
            text = ("stream", content["name"], steady(content["text"]))
            if isinstance(seen[-1], tuple) and seen[-1][:2] == text[:2]:
                text = (*text[:2], seen.pop()[2] + text[2])  # how a text is cut is no one's concern
            seen.append(text)
        elif kind == "error":
            seen.append((kind, content["ename"], steady(content["evalue"])))
            seen.append(steady("\n".join(content["traceback"])))
        elif "data" in content:
            data = {mime: readable(mime, value) for mime, value in content["data"].items()}
            seen.append((kind, data, content["metadata"]))
        elif kind not in {"status", "execute_input"}:
            seen.append((kind, content))
    return seen[1:] if result.status == "ok" else seen


def steady(text: str) -> str:
    """Returns a text without what differs between any two processes."""
    for pattern, stand_in in _VOLATILE:
        text = pattern.sub(stand_in, text)
    return text


def readable(mime: str, value: object) -> object:
    """Returns the pixels of a picture, the text of a text, and everything else as it is."""
    if not mime.startswith("image/") or mime == "image/svg+xml":
        is_markup = isinstance(value, str) and mime != "text/plain"  # which may be cut off
        if is_markup:
            return steady(_EMBEDDED.sub(pixels, value))
        return steady(value) if isinstance(value, str) else value
    return pixels(value)


def pixels(picture: str | re.Match[str]) -> str:
    """Returns what a picture in base64 shows, without what else its file holds."""
    text = picture if isinstance(picture, str) else picture[1]
    opened = Image.open(io.BytesIO(base64.b64decode(text)))
    frames = ImageSequence.Iterator(opened)
    shown = [(f.mode, f.size, hash(f.convert("RGBA").tobytes())) for f in frames]
    return repr((opened.format, shown))


def first_difference(expected: list[object], arrived: list[object]) -> str:
    """Returns where two outputs part, short enough to read."""
    one, other = repr(expected), repr(arrived)
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    start = max(0, at - 60)
    return f"{one[start : at + 100]!r} became {other[start : at + 100]!r}"


@pytest.fixture(scope="module")
def kernels(tmp_path_factory, kernel_class):
    """A guarded kernel whose index knows the people, and a plain one."""
    from cloister.store.catalog import Catalog
    from cloister.store.home import ensure_home, locate_home

    root = tmp_path_factory.mktemp("ordinary")
    workspace, plain = root / "work", root / "kernels" / "plain"
    workspace.mkdir()
    plain.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (plain / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "plain", "language": "python"})
    )
    people().to_csv(root / "people.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOISTER_HOME", str(root / "home"))
        patch.setenv("JUPYTER_PATH", str(root))
        patch.setenv("MPLCONFIGDIR", str(root))
        home = ensure_home(locate_home(os.environ))
        Catalog(home).add("people", str(root / "people.csv"))
        both = kernel_class("cloister", workspace), kernel_class("plain", workspace)
        yield both
        for kernel in both:
            kernel.close()


def test_there_are_enough_of_them():
    assert sum(len(cells(family)) for family in CASES.values()) >= MIN_CASES


@pytest.mark.parametrize("family", CASES)
def test_ordinary_outputs_arrive_unchanged(kernels, family):
    guarded, plain = kernels
    setups = [kernel.run(CASES[family]["setup"]) for kernel in kernels]
    assert [setup.status for setup in setups] == ["ok", "ok"], setups
    different = {}
    for name, code in cells(CASES[family]).items():
        expected, arrived = outputs(plain, code), outputs(guarded, code)
        assert expected or name in SILENT, f"{name} shows nothing to compare"
        if arrived != expected:
            different[name] = first_difference(expected, arrived)
    assert not different
