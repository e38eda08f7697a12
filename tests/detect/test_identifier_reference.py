"""The page of entity types lists what the program knows, at the levels it gives."""

from __future__ import annotations

import re
from pathlib import Path

from cloister.core.entities import DEFAULT_LEVELS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "entity-types.md"


def test_page_lists_every_type_at_its_level():
    listed = {}
    for section in PAGE.read_text("utf-8").split("\n## ")[1:]:
        level = section.partition("\n")[0].lower()
        listed |= dict.fromkeys(re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE), level)
    assert listed == {name: level.name.lower() for name, level in DEFAULT_LEVELS.items()}
