"""What an owner lowers is shown and nothing else: scan, index, gate, cache, a running kernel."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest
from cloister.core.labels import Level
from cloister.core.policy import policy_from_dict
from cloister.detect.cleared import ClearedFile, ClearedValues
from cloister.detect.exact import ExactIndex
from cloister.detect.tokens import Tokenizer
from cloister.sidecar.scan import Scanner
from cloister.sidecar.textguard import Tally, TextGuard
from cloister.store.catalog import Catalog
from cloister.store.home import Home, ensure_home

KEY = b"k" * 32
PARTS = [f"{219 + i}-09-{9871 - i}" for i in range(60)]  # read as social security numbers
NAMES = [f"Xavia Quorra{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60)]


class Workspace:
    """A home, a catalogue, and what a sidecar has of both."""

    def __init__(self, root, display=None):
        self.root = root
        self.home = ensure_home(Home(root / "home"))
        self.catalog = Catalog(self.home)
        self.policy = policy_from_dict({"version": 1, "display": display or {}}, "0" * 64)
        self.start()

    def start(self):
        """Starts a new sidecar's state on the same home."""
        self.index, self.cleared = ExactIndex(KEY), ClearedValues(KEY)
        self.scanner = Scanner(
            self.home, KEY, self.policy, self.catalog, self.index, cleared=self.cleared
        )
        self.guard = TextGuard(self.policy, Tokenizer(b"t" * 32), self.index, self.cleared)

    def write(self, name, **columns):
        path = self.root / f"{name}.csv"
        rows = zip(*columns.values(), strict=True)
        lines = [",".join(columns), *(",".join(row) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
        return path

    def lower(self, name, column, level=Level.INTERNAL):
        self.catalog.label(
            name, column, level, by="maya", found=Level.RESTRICTED, reason="part numbers"
        )

    def shows(self, text):
        return self.guard.mask(text, Tally()) == text


@pytest.fixture
def guarded(tmp_path):
    return Workspace(tmp_path)


@pytest.fixture
def parts(guarded):
    path = guarded.write("parts", number=PARTS, supplier=NAMES)
    guarded.catalog.add("parts", path, owner="maya")
    return path


def test_a_lowered_column_is_labelled_and_shown_and_says_by_whom(guarded, parts):
    assert guarded.scanner.scan(parts).labels["number"].level == "restricted"
    assert not guarded.shows(f"part {PARTS[3]} is here")
    guarded.start()
    guarded.lower("parts", "number")
    label = guarded.scanner.scan(parts).labels["number"]
    assert (label.level, label.final) == ("internal", True)
    assert label.source == "catalog:parts lowered by maya"
    for text in (f"part {PARTS[3]} is here", PARTS[7].replace("-", ""), f'{{"ssn": "{PARTS[9]}"}}'):
        assert guarded.shows(text)


def test_values_that_nobody_cleared_stay_masked(guarded, parts):
    guarded.lower("parts", "number")
    guarded.scanner.scan(parts)
    assert not guarded.shows("another 536-22-1234 here")
    assert not guarded.scanner.scan(parts).labels["supplier"].final


def test_a_value_that_is_sensitive_elsewhere_stays_masked(guarded, parts):
    guarded.lower("parts", "number")
    people = guarded.write("people", ssn=[PARTS[3], "536-22-1234", "536-22-1235"] * 10)
    guarded.scanner.scan(parts)
    guarded.scanner.scan(people)
    assert not guarded.shows(f"part {PARTS[3]} is here")
    assert guarded.shows(f"part {PARTS[4]} is here")


def test_a_policy_that_hides_the_level_hides_the_values(guarded, parts):
    guarded.lower("parts", "number")
    guarded.scanner.scan(parts)
    assert guarded.shows(f"part {PARTS[3]} is here")
    guarded.guard.policy = policy_from_dict(
        {"version": 1, "display": {"internal": "token"}}, "1" * 64
    )
    assert not guarded.shows(f"part {PARTS[3]} is here")


def test_a_frame_that_lost_its_labels_does_not_bring_cleared_values_back(guarded, parts):
    guarded.lower("parts", "number")
    guarded.scanner.scan(parts)
    assert guarded.scanner.observe("US_SSN", [*PARTS, "536-22-1234"]) > 0
    assert guarded.shows(f"part {PARTS[3]} is here")
    assert not guarded.shows("another 536-22-1234 here")


def test_the_cache_keeps_what_was_cleared_and_a_damaged_one_is_made_again(guarded, parts):
    guarded.lower("parts", "number")
    guarded.scanner.scan(parts)
    (stored,) = guarded.home.index_dir.glob("*.cleared")
    content = stored.read_bytes()
    assert not any(part.encode() in content for part in PARTS)
    for damage in (content, content[:-1], b"", content[:40] + b"x" + content[41:]):
        stored.write_bytes(damage)
        guarded.start()
        guarded.scanner.scan(parts)
        assert guarded.shows(f"part {PARTS[3]} is here")
        assert not guarded.shows("another 536-22-1234 here")


def test_taking_a_lowering_back_reaches_a_running_kernel(guarded, parts):
    guarded.lower("parts", "number")
    guarded.scanner.scan(parts)
    guarded.scanner.follow_catalog()
    assert guarded.shows(f"part {PARTS[3]} is here")
    guarded.catalog.label("parts", "number", Level.RESTRICTED, by="bob", found=Level.RESTRICTED)
    guarded.scanner.follow_catalog()
    assert not guarded.shows(f"part {PARTS[3]} is here")


def test_declared_above_its_type_is_masked_by_the_declared_level(guarded, tmp_path):
    """A name of a type with a low level, or no type at all, must not undo the declaration."""
    codes = [f"Zq{i}wexford{i}" for i in range(40)]
    path = guarded.write("codes", code=codes, town=codes[::-1])
    guarded.catalog.add("codes", path, owner="maya")
    guarded.catalog.label("codes", "code", Level.RESTRICTED, by="bob")
    guarded.catalog.label("codes", "town", Level.RESTRICTED, "CITY", by="bob")
    guarded.scanner.scan(path)
    assert not guarded.shows(f"the code {codes[5]} here")


def test_prose_of_a_lowered_column_may_show_the_numbers_that_it_holds(guarded):
    notes = [f"see part {part} of the older list as it replaces this one" for part in PARTS]
    path = guarded.write("notes", note=notes)
    guarded.catalog.add("notes", path, owner="maya")
    guarded.lower("notes", "note")
    guarded.scanner.scan(path)
    assert guarded.shows(notes[4])
    assert guarded.shows(f"only {PARTS[4]}")


def test_a_file_that_a_kernel_may_have_written_clears_nothing(guarded, tmp_path):
    """Else a kernel adds a file to a catalogued directory and prints whatever it wrote there."""
    data = tmp_path / "workspace" / "data"
    data.mkdir(parents=True)
    seen = guarded.write("seen", number=PARTS).rename(data / "seen.csv")
    guarded.catalog.add("parts", data, owner="maya")
    guarded.lower("parts", "number")
    guarded.scanner._workspace = tmp_path / "workspace"
    guarded.scanner.scan(seen)
    assert guarded.shows(f"part {PARTS[3]} is here")
    planted = guarded.write("planted", number=["536-22-1234", "536-22-1235"] * 10)
    planted = planted.rename(data / "planted.csv")
    os.utime(planted, (0, 0))  # what a kernel can set says nothing
    label = guarded.catalog.show("parts").labels["number"]
    earlier = dataclasses.replace(label, at=label.at - 100)
    document = json.loads(guarded.home.catalog_path.read_text())
    document["datasets"][0]["labels"]["number"] = dataclasses.asdict(earlier)
    guarded.home.catalog_path.write_text(json.dumps(document))
    assert not guarded.scanner.scan(planted).labels["number"].final
    assert not guarded.shows("another 536-22-1234 here")


def test_digests_of_another_key_clear_nothing(tmp_path):
    file = ClearedFile.build(KEY, [(Level.PUBLIC, PARTS)])
    file.save(tmp_path / "x.cleared", KEY)
    with pytest.raises(ValueError, match="another key"):
        ClearedFile.load(tmp_path / "x.cleared", b"o" * 32)
    other = ClearedValues(b"o" * 32)
    other.replace("x", file)
    assert other.level_of(PARTS[0]) is None


def test_the_highest_level_of_two_files_counts():
    cleared = ClearedValues(KEY)
    cleared.replace("a", ClearedFile.build(KEY, [(Level.PUBLIC, PARTS[:9])]))
    cleared.replace("b", ClearedFile.build(KEY, [(Level.CONFIDENTIAL, PARTS[:1])]))
    assert cleared.level_of(PARTS[0]) is Level.CONFIDENTIAL
    assert cleared.level_of(PARTS[1].replace("-", " ")) is Level.PUBLIC
    assert cleared.level_of("536-22-1234") is None
    cleared.replace("b", ClearedFile.build(KEY, []))
    assert cleared.level_of(PARTS[0]) is Level.PUBLIC


def test_a_kernel_shows_a_lowered_column_and_follows_when_it_is_raised(
    home, workspace, start_kernel
):
    root = workspace
    lines = ["ssn,n", *(f"{part},1" for part in PARTS)]
    (root / "parts.csv").write_text("\n".join(lines) + "\n")
    catalog = Catalog(ensure_home(Home(home)))
    catalog.add("parts", root / "parts.csv", owner="maya")
    catalog.label("parts", "ssn", Level.PUBLIC, by="maya", found=Level.RESTRICTED, reason="parts")
    kernel = start_kernel()
    result = kernel.run("import pandas as pd\ndf = pd.read_csv('parts.csv')\ndf")
    assert PARTS[0] in result.text
    assert PARTS[0] in result.html
    assert PARTS[5] in kernel.run("print(df.ssn[5])").text
    assert "536-22-1234" not in kernel.run("print('536-22-' + '1234')").everything
    catalog.label("parts", "ssn", Level.RESTRICTED, by="bob", found=Level.RESTRICTED)
    assert PARTS[5] not in kernel.run("print(df.ssn[5])").everything
