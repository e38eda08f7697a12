"""Names of people and places that can be looked up: what a text or a column is compared with.

The lists stand in ``detect/data``, folded to lower-case ASCII. A name that is an ordinary English
word as well (Grace, Mark, Reading) is marked there: alone it proves nothing.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_UNDECOMPOSED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "\u0131": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"}
)


@dataclass(frozen=True, slots=True)
class Gazetteer:
    """A list of names.

    Attributes:
        names: All of them, folded.
        words: Those that are ordinary words, too.
        longest: Words in the longest name.
    """

    names: frozenset[str]
    words: frozenset[str]
    longest: int

    def __contains__(self, name: str) -> bool:
        """Returns whether a folded name is listed."""
        return name in self.names

    def is_sure(self, name: str) -> bool:
        """Returns whether a folded name is listed and is no ordinary word."""
        return name in self.names and name not in self.words


def fold_name(name: str) -> str:
    """Returns a name in lower case without marks on its letters, with single spaces."""
    if name.isascii():
        return " ".join(name.lower().split())
    folded = unicodedata.normalize("NFKD", name.casefold().translate(_UNDECOMPOSED))
    return " ".join("".join(c for c in folded if not unicodedata.combining(c)).split())


def given_names() -> Gazetteer:
    """Returns given names in Latin script, of some seventy locales."""
    return _read("given_names.txt")


def surnames() -> Gazetteer:
    """Returns surnames in Latin script, of some seventy locales."""
    return _read("surnames.txt")


def places() -> Gazetteer:
    """Returns cities, regions and countries, in English and in their own languages."""
    return _read("places.txt")


@cache
def _read(file: str) -> Gazetteer:
    # Read by path: importlib.resources costs 25 ms, and Cloister is never run from a zip file.
    lines = (Path(__file__).parent / "data" / file).read_text("ascii").splitlines()
    names = [line for line in lines if not line.startswith("#")]
    words = frozenset(name[:-2] for name in names if name.endswith("?"))
    longest = max(name.count(" ") + 1 for name in names)
    return Gazetteer(frozenset(n.removesuffix(" ?") for n in names), words, longest)
