"""How values of each kind look: one table for each field, read by :mod:`cloister.detect.values`.

A look is a pattern for the whole value, a check of its digits, and what a column name may add.
New kinds are one entry in the table of their field.
"""

from __future__ import annotations

from cloister.detect.looks.look import Check, Look

__all__ = ["Check", "Look"]
