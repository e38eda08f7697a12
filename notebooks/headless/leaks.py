"""Looks for values of the raw data in what the notebooks put out.

This check shares nothing with Cloister's own detection: it takes every sensitive value of the
generated files and looks for it in every message that the server sent. Letters and digits are
compared without case and without what stands between them, so ``123 45 6789`` is found when the
file says ``123-45-6789``.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Columns of ``patients.csv`` whose values must never be seen.
SENSITIVE_COLUMNS = (
    "mrn",
    "name",
    "ssn",
    "email",
    "phone",
    "address",
    "insurance_iban",
    "card_number",
)

_TOKEN = re.compile(r"[^\W_]+")
_LONGEST_SPAN = 8


def canonical(value: str) -> str:
    """Returns letters and digits of ``value``, without case."""
    return "".join(_TOKEN.findall(value.casefold()))


class RawValues:
    """The sensitive values of the demo data, by kind.

    Args:
        data: Directory with ``patients.csv``.
    """

    def __init__(self, data: Path) -> None:
        self._kind: dict[str, str] = {}
        with (data / "patients.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for column in SENSITIVE_COLUMNS:
                    form = canonical(row[column])
                    if form:
                        self._kind[form] = column
                    # National numbers are written with and without the country's prefix.
                    if column == "phone" and len(form) == 11:
                        self._kind[form[1:]] = column

    def __len__(self) -> int:
        return len(self._kind)

    def find(self, messages: Iterable[str]) -> Counter[str]:
        """Returns how often a value of each column occurs in ``messages``; never a value itself.

        Args:
            messages: JSON texts as received, or plain text.
        """
        found: Counter[str] = Counter()
        for message in messages:
            tokens = _TOKEN.findall(_unescaped(message).casefold())
            for start in range(len(tokens)):
                form = ""
                for token in tokens[start : start + _LONGEST_SPAN]:
                    form += token
                    if len(form) > 64:
                        break
                    kind = self._kind.get(form)
                    if kind:
                        found[kind] += 1
        return found


def _unescaped(message: str) -> str:
    """Returns the strings of a JSON text, one a line, or the text itself if it is none."""
    try:
        document = json.loads(message)
    except ValueError:
        return message
    strings: list[str] = []
    stack = [document]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack += [*item.values(), *item.keys()]
        elif isinstance(item, list):
            stack += item
        elif isinstance(item, (str, int, float)):
            strings.append(str(item))
    return "\n".join(strings)
