"""Numbers of goods that keep the same laws as numbers of people.

An ISBN of ten digits has the very check digit of a UK NHS number; one ISBN in eleven ends in X, and
no NHS number does. A column of such numbers is not about people.
"""

from __future__ import annotations

from cloister.detect.guards import guarded
from cloister.detect.laws import Weighted
from cloister.detect.looks.look import Look

GOODS: tuple[Look, ...] = (
    Look(
        "isbn",
        r"\d{8,9}[\dXx]|\d{1,5}[ -]\d{1,7}[ -]\d{1,7}[ -][\dXx]",
        check=guarded(10, Weighted((10, 9, 8, 7, 6, 5, 4, 3, 2), 11, "0X987654321")),
        hint=r"\bisbn\b",
        chance=0.0909,
    ),
    Look(
        "gtin",
        r"\d{11,13}",
        check=guarded(13, Weighted((1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3), 10, "0987654321")),
        hint=r"\bean\b|\bgtin\b|\bupc\b|\bisbn(?: ?13)?\b|\bbarcode\b",
        chance=0.1,
    ),
)
