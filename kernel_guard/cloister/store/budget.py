"""The privacy budget ledger: what every dataset has cost, and what is set aside.

The whole cost of a computation is reserved before it touches data, then committed at what it really
cost or, if no data was touched, refunded. A reservation that nobody settles counts in full for
ever: a crash may waste budget, never create it. Composition is basic: epsilons and deltas add up
(Dwork and Roth 2014, theorem 3.16), which holds for sequences that are chosen adaptively.

Amounts are whole numbers of the smallest unit, 10**-12 for epsilon and 10**-18 for delta, so sums
are exact. Costs round up to the unit and limits round down.
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import Enum
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from cloister.core.errors import BudgetExceeded, CloisterError
from cloister.core.policy import BudgetLimit
from cloister.core.records import canonical_bytes
from cloister.store.database import BUSY_TIMEOUT_MS, connect, damaged, unavailable
from cloister.store.files import create_exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from cloister.core.records import Json
    from cloister.store.home import Home

Row: TypeAlias = "dict[str, str | float]"
"""One dataset in the shape of ``cloister budget show --json``."""

_EPSILON_DIGITS: Final = 12
_DELTA_DIGITS: Final = 18
_MOST_UNITS: Final = 2**62  # SQLite's integers have 63 bits; two amounts must add up inside
_APPLICATION_ID: Final = 0x434C4247  # "CLBG"
_WHAT: Final = "budget ledger"

_SCHEMA: Final = (
    """CREATE TABLE dataset (
        name TEXT PRIMARY KEY, policy_epsilon INTEGER, policy_delta INTEGER,
        set_epsilon INTEGER, set_delta INTEGER)""",
    """CREATE TABLE reservation (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
        dataset TEXT NOT NULL REFERENCES dataset (name), user TEXT NOT NULL, key TEXT NOT NULL,
        epsilon INTEGER NOT NULL CHECK (epsilon >= 0), delta INTEGER NOT NULL CHECK (delta >= 0),
        spent_epsilon INTEGER NOT NULL DEFAULT 0, spent_delta INTEGER NOT NULL DEFAULT 0,
        steps_done INTEGER, state TEXT NOT NULL CHECK (state IN ('open', 'committed', 'refunded')),
        event TEXT NOT NULL, UNIQUE (user, dataset, key))""",
    "CREATE INDEX reservation_by_dataset ON reservation (dataset, state)",
    f"PRAGMA application_id={_APPLICATION_ID}",
)


class BudgetMisuse(CloisterError):
    """A ledger operation that does not fit the state of its reservation."""

    default_code = "CLO-DP-003"


class ReservationState(Enum):
    """Where a reservation stands."""

    OPEN = "open"
    COMMITTED = "committed"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Budget that is set aside.

    Attributes:
        id: Names it in later calls.
        dataset: Whose budget.
        epsilon: Reserved epsilon.
        delta: Reserved delta.
        state: Open, or how it was settled.
        steps_done: Steps of the last checkpoint; ``None`` before the first.
    """

    id: str
    dataset: str
    epsilon: float
    delta: float
    state: ReservationState
    steps_done: int | None


class BudgetLedger:
    """The ledger of one workspace; any number of processes and threads may use it at once.

    Raises:
        StoreUnavailable: It cannot be opened.
    """

    def __init__(self, home: Home, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        self._path: Path = home.ledger_path
        self._mutex = threading.Lock()
        made = self._path.with_name(".ledger-made")
        if made.exists() and not self._path.exists():
            # A new ledger would forget what was spent.
            raise damaged(_WHAT, "its database is gone")
        try:
            self._connection = connect(self._path, busy_timeout_ms=busy_timeout_ms)
            with self._transaction() as connection:
                _create_if_new(connection)
            create_exclusive(made, b"1\n")
        except (sqlite3.Error, OSError) as error:
            raise unavailable(error, _WHAT, self._path) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the database."""
        with self._mutex, suppress(sqlite3.Error):
            self._connection.close()

    def reserve(
        self,
        dataset: str,
        epsilon: float,
        delta: float,
        event: Mapping[str, Json],
        *,
        idempotency_key: str,
        limit: BudgetLimit,
        user: str,
    ) -> Reservation:
        """Sets the whole cost aside, before any data is touched.

        Args:
            dataset: Whose budget.
            epsilon: Most that the computation can cost; zero or more, finite.
            delta: Most that it can cost; zero or more, below one.
            event: What is computed: strings and integers.
            idempotency_key: The same key of the same user and dataset returns the same reservation.
            limit: The policy's limit; a limit that was set in the ledger replaces it.
            user: Who asks.

        Raises:
            BudgetExceeded: Committed and open amounts leave too little (``CLO-DP-001``).
            BudgetMisuse: The amounts are not numbers in range, or the key stands for another cost.
            StoreUnavailable: The ledger cannot be used; nothing was reserved.
        """
        cost = _cost(epsilon, delta)
        with self._transaction() as connection:
            _note_limit(connection, dataset, limit)
            known = _find(
                connection, "user = ? AND dataset = ? AND key = ?", user, dataset, idempotency_key
            )
            if known is not None:
                if known.cost != cost:
                    raise BudgetMisuse(
                        "This idempotency key already stands for another cost.",
                        remedy="Use a fresh key for each computation.",
                    )
                return known.public()
            _refuse_overdraft(dataset, cost, _totals(connection, dataset))
            identifier = uuid.uuid4().hex
            connection.execute(
                "INSERT INTO reservation (id, dataset, user, key, epsilon, delta, state, event)"
                " VALUES (?, ?, ?, ?, ?, ?, 'open', ?)",
                (
                    identifier,
                    dataset,
                    user,
                    idempotency_key,
                    *cost,
                    canonical_bytes(dict(event)).decode(),
                ),
            )
            return _get(connection, identifier).public()

    def checkpoint(self, reservation: str, steps_done: int) -> None:
        """Notes steps before they are released; from now on there is no refund.

        Args:
            reservation: Its id.
            steps_done: Steps so far; a smaller number than before changes nothing.

        Raises:
            BudgetMisuse: It is unknown or settled.
        """
        with self._transaction() as connection:
            row = _get(connection, reservation)
            if row.state is not ReservationState.OPEN:
                raise _settled(row)
            connection.execute(
                "UPDATE reservation SET steps_done = max(coalesce(steps_done, 0), ?) WHERE id = ?",
                (steps_done, reservation),
            )

    def commit(self, reservation: str, epsilon: float, delta: float) -> Row:
        """Settles a reservation at what was really spent; again with the same amounts is the same.

        Returns:
            The dataset's row.

        Raises:
            BudgetMisuse: More than reserved, another amount than committed before, refunded, or
                unknown. An open reservation stays open, and so counts in full.
        """
        cost = _cost(epsilon, delta)
        with self._transaction() as connection:
            row = _get(connection, reservation)
            if row.state is ReservationState.REFUNDED or (
                row.state is ReservationState.COMMITTED and row.spent != cost
            ):
                raise _settled(row)
            if cost[0] > row.cost[0] or cost[1] > row.cost[1]:
                raise BudgetMisuse(
                    "More was spent than reserved.",
                    remedy="Reserve the whole cost before data is touched.",
                )
            connection.execute(
                "UPDATE reservation SET state = 'committed', spent_epsilon = ?, spent_delta = ?"
                " WHERE id = ?",
                (*cost, reservation),
            )
            return _totals(connection, row.dataset).as_row(row.dataset)

    def refund(self, reservation: str) -> Row:
        """Gives a reservation back, if no data was touched; again is the same.

        Returns:
            The dataset's row.

        Raises:
            BudgetMisuse: It has a checkpoint, is committed, or is unknown.
        """
        with self._transaction() as connection:
            row = _get(connection, reservation)
            if row.state is ReservationState.COMMITTED:
                raise _settled(row)
            if row.steps_done is not None:
                raise BudgetMisuse(
                    "A computation that has touched data cannot be refunded.",
                    remedy="Commit what it spent.",
                )
            connection.execute(
                "UPDATE reservation SET state = 'refunded' WHERE id = ?", (reservation,)
            )
            return _totals(connection, row.dataset).as_row(row.dataset)

    def set_limit(self, dataset: str, epsilon: float, delta: float) -> Row:
        """Sets a dataset's limit in place of the policy's.

        Raises:
            BudgetMisuse: The amounts are not numbers in range.
        """
        limit = _limit(BudgetLimit(epsilon, delta))
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO dataset (name, set_epsilon, set_delta) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET set_epsilon = excluded.set_epsilon,"
                " set_delta = excluded.set_delta",
                (dataset, *limit),
            )
            return _totals(connection, dataset).as_row(dataset)

    def row(self, dataset: str, limit: BudgetLimit) -> Row:
        """Returns one dataset's row; ``limit`` is the policy's."""
        with self._transaction() as connection:
            return _totals(connection, dataset, _limit(limit)).as_row(dataset)

    def rows(
        self,
        limit_for: Callable[[str], BudgetLimit] | None = None,
        datasets: tuple[str, ...] = (),
    ) -> list[Row]:
        """Returns the rows of every dataset that the ledger or the caller knows, by name.

        Args:
            limit_for: The policy's limits; the ones that the ledger saw last when left out.
            datasets: Further datasets, which need ``limit_for``.
        """
        with self._transaction() as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM dataset")}
            if limit_for is None:
                return [_totals(connection, name).as_row(name) for name in sorted(names)]
            return [
                _totals(connection, name, _limit(limit_for(name))).as_row(name)
                for name in sorted(names | set(datasets))
            ]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            connection = self._connection
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except (sqlite3.Error, OSError) as error:
                with suppress(sqlite3.Error):
                    connection.rollback()
                raise unavailable(error, _WHAT, self._path) from error
            except BaseException:
                connection.rollback()
                raise


@dataclass(frozen=True, slots=True)
class _Stored:
    id: str
    dataset: str
    cost: tuple[int, int]
    spent: tuple[int, int]
    steps_done: int | None
    state: ReservationState

    def public(self) -> Reservation:
        return Reservation(
            self.id,
            self.dataset,
            _number(self.cost[0], _EPSILON_DIGITS),
            _number(self.cost[1], _DELTA_DIGITS),
            self.state,
            self.steps_done,
        )


@dataclass(frozen=True, slots=True)
class _Totals:
    limit: tuple[int, int]
    spent: tuple[int, int]
    reserved: tuple[int, int]

    def as_row(self, dataset: str) -> Row:
        return {
            "dataset": dataset,
            "epsilon_limit": _number(self.limit[0], _EPSILON_DIGITS),
            "epsilon_spent": _number(self.spent[0], _EPSILON_DIGITS),
            "epsilon_reserved": _number(self.reserved[0], _EPSILON_DIGITS),
            "delta_limit": _number(self.limit[1], _DELTA_DIGITS),
            "delta_spent": _number(self.spent[1], _DELTA_DIGITS),
        }


def _create_if_new(connection: sqlite3.Connection) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application == _APPLICATION_ID:
        return
    if application or connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
        raise damaged(_WHAT, "its database was made by another version or program")
    for statement in _SCHEMA:
        connection.execute(statement)


def _find(connection: sqlite3.Connection, condition: str, *values: str) -> _Stored | None:
    row = connection.execute(
        "SELECT id, dataset, epsilon, delta, spent_epsilon, spent_delta, steps_done, state"  # noqa: S608 - conditions are written in this file
        f" FROM reservation WHERE {condition}",
        values,
    ).fetchone()
    if row is None:
        return None
    return _Stored(
        row[0], row[1], (row[2], row[3]), (row[4], row[5]), row[6], ReservationState(row[7])
    )


def _get(connection: sqlite3.Connection, reservation: str) -> _Stored:
    found = _find(connection, "id = ?", reservation)
    if found is None:
        raise BudgetMisuse("There is no such reservation.", remedy="Reserve before you spend.")
    return found


def _settled(row: _Stored) -> BudgetMisuse:
    return BudgetMisuse(
        f"The reservation is already {row.state.value}.",
        remedy="Reserve again for a further computation.",
    )


def _note_limit(connection: sqlite3.Connection, dataset: str, limit: BudgetLimit) -> None:
    connection.execute(
        "INSERT INTO dataset (name, policy_epsilon, policy_delta) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET policy_epsilon = excluded.policy_epsilon,"
        " policy_delta = excluded.policy_delta",
        (dataset, *_limit(limit)),
    )


def _totals(
    connection: sqlite3.Connection, dataset: str, policy: tuple[int, int] | None = None
) -> _Totals:
    row = connection.execute(
        "SELECT set_epsilon, set_delta, policy_epsilon, policy_delta FROM dataset WHERE name = ?",
        (dataset,),
    ).fetchone() or (None, None, None, None)
    limit: tuple[int, int] = policy or (row[2] or 0, row[3] or 0)
    if row[0] is not None:
        limit = (row[0], row[1] or 0)
    spent, reserved = [0, 0], [0, 0]
    # Summed here, not by SQLite, whose sum() of integers fails on overflow.
    for state, epsilon, delta, spent_epsilon, spent_delta in connection.execute(
        "SELECT state, epsilon, delta, spent_epsilon, spent_delta FROM reservation"
        " WHERE dataset = ? AND state <> 'refunded'",
        (dataset,),
    ):
        if state == "committed":
            spent[0] += spent_epsilon
            spent[1] += spent_delta
        else:
            reserved[0] += epsilon
            reserved[1] += delta
    return _Totals(limit, (spent[0], spent[1]), (reserved[0], reserved[1]))


def _refuse_overdraft(dataset: str, cost: tuple[int, int], totals: _Totals) -> None:
    left = [
        limit - spent - reserved
        for limit, spent, reserved in zip(totals.limit, totals.spent, totals.reserved, strict=True)
    ]
    for amount, rest, name, digits in (
        (cost[0], left[0], "epsilon", _EPSILON_DIGITS),
        (cost[1], left[1], "delta", _DELTA_DIGITS),
    ):
        if amount > rest:
            remaining = _text(max(rest, 0), digits)
            raise BudgetExceeded(
                f"The budget of {dataset} does not cover {name} {_text(amount, digits)}:"
                f" {remaining} of {_text(totals.limit[name == 'delta'], digits)} remains.",
                rule=f"budgets.{dataset}",
                remedy=f"Ask for {name} {remaining} or less, or ask an admin to run:"
                f" cloister budget set {dataset} --epsilon E --delta D",
            )


def _cost(epsilon: float, delta: float) -> tuple[int, int]:
    return (
        _units(epsilon, _EPSILON_DIGITS, ROUND_CEILING, "epsilon"),
        _units(delta, _DELTA_DIGITS, ROUND_CEILING, "delta"),
    )


def _limit(limit: BudgetLimit) -> tuple[int, int]:
    return (
        _units(limit.epsilon, _EPSILON_DIGITS, ROUND_FLOOR, "epsilon"),
        _units(limit.delta, _DELTA_DIGITS, ROUND_FLOOR, "delta"),
    )


def _units(value: float, digits: int, rounding: str, name: str) -> int:
    """Returns an amount in whole units; a float stands for its shortest decimal text."""
    number = Decimal(repr(float(value)))
    if not number.is_finite() or number < 0 or (name == "delta" and number >= 1):
        raise BudgetMisuse(
            f"{name} is a finite number, zero or more" + (", below 1." if name == "delta" else ".")
        )
    units = int(number.scaleb(digits).to_integral_value(rounding))
    if units > _MOST_UNITS:
        raise BudgetMisuse(f"{name} is too large to be a privacy budget.")
    return units


def _number(units: int, digits: int) -> float:
    return float(Decimal(units).scaleb(-digits))


def _text(units: int, digits: int) -> str:
    return f"{Decimal(units).scaleb(-digits).normalize():g}"
