"""Remembers the labels of plain values: arrays by identity, lists and dicts by some of their cells.

An array has no place for a label, so it is known by its identity for as long as it lives. A list
may be copied, sliced through JSON or put into a dict, so it is known by the hash of its length and
of a few cells, salted anew in each process; what holds too little to be told from other lists is
not remembered at all. No value and no array is kept alive here, and a look that finds nothing
means no more than that: the values are classified when they are shown.
"""

from __future__ import annotations

import secrets
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from cloister.hooks.provenance import COLUMNS, Provenance, join_all

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from cloister.hooks.provenance import Trace

_PROBED = 6
_LEAST_DISTINCT = 3
_PROBES_KEPT = 1_024
_DEEPEST = 3
_MOST_COLUMNS = 200
_SALT = secrets.randbits(62)

_arrays: dict[int, tuple[weakref.ref[Any], Provenance]] = {}
_probes: OrderedDict[int, Provenance] = OrderedDict()


def remember_array(array: object, provenance: Provenance) -> None:
    """Remembers what an array was made of, until it is collected; does nothing for a scalar."""
    number = id(array)
    try:
        held = weakref.ref(array, lambda _: _arrays.pop(number, None))
    except TypeError:
        return
    _arrays[number] = (held, provenance)


def knows_arrays() -> bool:
    """Returns whether anything is known of any array."""
    return bool(_arrays)


def of_array(array: Any) -> Provenance | None:
    """Returns what is known of an array, or of the array that it is a view of."""
    if not _arrays:
        return None
    entry = _arrays.get(id(array))
    if entry is not None and entry[0]() is array:
        return entry[1]
    base = getattr(array, "base", None)
    entry = None if base is None else _arrays.get(id(base))
    return entry[1] if entry is not None and entry[0]() is base else None


def remember_values(values: object, provenance: Provenance) -> None:
    """Remembers what a list or a dict was made of, if its cells can tell it from others."""
    key = _probe(values)
    if key is None:
        return
    _keep(key, provenance)
    if isinstance(values, dict) and provenance.rest is not None:
        cells = list(values.values())
        remember_cells(len(cells), [cells[i] for i in places(len(cells))], provenance)


def _keep(key: int, provenance: Provenance) -> None:
    _probes[key] = provenance
    _probes.move_to_end(key)
    if len(_probes) > _PROBES_KEPT:
        _probes.popitem(last=False)


def of_values(values: object) -> Provenance | None:
    """Returns what is known of a list or a dict with the same cells."""
    if not _probes:
        return None
    key = _probe(values)
    known = None if key is None else _probes.get(key)
    if known is None and isinstance(values, dict):
        cells = list(values.values())
        trace = of_cells(len(cells), [cells[i] for i in places(len(cells))])
        known = None if trace is None else Provenance({}, trace)
    return known


def knows_values() -> bool:
    """Returns whether any cells are remembered."""
    return bool(_probes)


def places(length: int) -> list[int]:
    """Returns the positions of the cells that a column is known by."""
    last = length - 1
    return sorted({last * i // (_PROBED - 1) for i in range(_PROBED)}) if length else []


def remember_cells(length: int, cells: Sequence[object], provenance: Provenance) -> None:
    """Remembers a column by its length and its cells at :func:`places`."""
    key = _key(length, [x for cell in cells for x in (None, _plain(cell))])
    if key is not None:
        _keep(key, provenance)


def of_cells(length: int, cells: Sequence[object]) -> Trace | None:
    """Returns what is known of a column of this length with these cells at :func:`places`."""
    key = _key(length, [x for cell in cells for x in (None, _plain(cell))])
    known = None if key is None else _probes.get(key)
    return None if known is None else known.rest


def of_rows(rows: Sequence[Any]) -> dict[Hashable, Trace | None]:
    """Returns what is known of the columns that rows make: by position, or by the keys of dicts."""
    if not _probes or not rows:
        return {}
    found: dict[Hashable, Trace | None] = {}
    try:
        chosen = [rows[i] for i in places(len(rows))]
        first = chosen[0]
        is_dict = isinstance(first, dict)
        if not is_dict and not isinstance(first, list | tuple):
            return {}
        for at in list(first)[:_MOST_COLUMNS] if is_dict else range(min(len(first), _MOST_COLUMNS)):
            trace = of_cells(len(rows), [row[at] for row in chosen])
            if trace is not None:
                found[at if is_dict else (COLUMNS, at)] = trace
    except Exception:  # noqa: BLE001 - rows of the user's, of any kind and length
        return {}
    return found


def of_table(rows: Sequence[Any]) -> Provenance | None:
    """Returns what is known of the table that rows make, ``None`` when that is nothing."""
    columns = of_rows(rows)
    if not columns:
        return None
    if not isinstance(rows[0], dict):
        columns[COLUMNS] = join_all(columns.values())
    return Provenance(columns)


def forget() -> None:
    """Forgets everything."""
    _arrays.clear()
    _probes.clear()


def _probe(values: object) -> int | None:
    """Returns a key for the content, ``None`` when it is too common or cannot be hashed."""
    found: list[object] = []
    try:
        _collect(values, found, 0)
    except Exception:  # noqa: BLE001 - __eq__ or __len__ of an arbitrary object of the user's
        return None
    return _key(len(values), found)  # type: ignore[arg-type]


def _key(length: int, found: Sequence[object]) -> int | None:
    try:
        if len({cell for cell in found if _is_telling(cell)}) < min(_LEAST_DISTINCT, length):
            return None
        return hash((_SALT, length, *found))
    except Exception:  # noqa: BLE001 - __hash__ of an arbitrary object of the user's
        return None


def _plain(value: object) -> object:
    """Returns a cell so that it has one hash: every NaN has another."""
    return "nan" if value != value else value  # noqa: PLR0124 - how a NaN is told


def _collect(values: Any, found: list[object], depth: int) -> None:
    if isinstance(values, dict):
        # A dict has no middle to look at without walking it.
        firsts = []
        for key, value in values.items():
            firsts.append((key, value))
            if len(firsts) == _PROBED:
                break
        pairs: list[Any] = firsts
    elif isinstance(values, list | tuple):
        pairs = [(None, values[i]) for i in places(len(values))]
    else:
        raise TypeError
    for key, value in pairs:
        found.append(key)
        if isinstance(value, dict | list | tuple):
            if depth + 1 >= _DEEPEST:
                raise TypeError
            found.append(len(value))
            _collect(value, found, depth + 1)
        else:
            found.append(_plain(value))


def _is_telling(cell: object) -> bool:
    """Returns whether a cell is more than a flag, a small number or a letter."""
    if cell is None or isinstance(cell, bool):
        return False
    if isinstance(cell, int):
        return abs(cell) > 1_000
    if isinstance(cell, str):
        return len(cell) > 3
    return True
