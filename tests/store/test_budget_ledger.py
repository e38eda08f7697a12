"""The budget ledger: exact sums, idempotent calls, and no overdraft whoever races."""

import multiprocessing
import sqlite3
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from cloister.core.errors import BudgetExceeded, CloisterError, StoreUnavailable
from cloister.core.policy import BudgetLimit
from cloister.store.budget import BudgetLedger, ReservationState
from cloister.store.home import Home, ensure_home
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

LIMIT = BudgetLimit(1.0, 1e-5)


@pytest.fixture
def home(tmp_path):
    return ensure_home(Home(tmp_path / "home"))


@pytest.fixture
def ledger(home):
    with BudgetLedger(home) as ledger:
        yield ledger


def reserve(
    ledger, *, epsilon=0.1, delta=0.0, key="k", dataset="patients", limit=LIMIT, user="ann"
):
    return ledger.reserve(
        dataset, epsilon, delta, {"kind": "mean"}, idempotency_key=key, limit=limit, user=user
    )


def test_ten_tenths_fit_exactly_and_nothing_more(ledger):
    for i in range(10):
        reserve(ledger, key=f"k{i}")
    with pytest.raises(BudgetExceeded) as caught:
        reserve(ledger, epsilon=1e-12, key="last")
    assert "0 of 1 remains" in caught.value.message
    assert caught.value.rule == "budgets.patients"


def test_refusal_names_what_remains(ledger):
    reserve(ledger, epsilon=0.75)
    with pytest.raises(BudgetExceeded, match=r"0\.25 of 1 remains"):
        reserve(ledger, epsilon=0.3, key="b")


def test_delta_has_its_own_limit(ledger):
    reserve(ledger, delta=6e-6)
    with pytest.raises(BudgetExceeded, match="delta"):
        reserve(ledger, delta=6e-6, key="b")


def test_datasets_do_not_share_a_budget(ledger):
    reserve(ledger, epsilon=1.0)
    reserve(ledger, epsilon=1.0, dataset="other")


def test_repeated_key_is_the_same_reservation_and_costs_once(ledger):
    first = reserve(ledger, epsilon=0.6)
    assert reserve(ledger, epsilon=0.6) == first
    assert ledger.row("patients", LIMIT)["epsilon_reserved"] == 0.6
    with pytest.raises(CloisterError) as caught:
        reserve(ledger, epsilon=0.2)
    assert caught.value.code == "CLO-DP-003"


def test_another_user_cannot_ride_on_a_key(ledger):
    first = reserve(ledger, epsilon=0.4)
    assert reserve(ledger, epsilon=0.4, user="bob").id != first.id


def test_commit_counts_what_was_spent_and_frees_the_rest(ledger):
    held = reserve(ledger, epsilon=0.8)
    row = ledger.commit(held.id, 0.3, 0.0)
    assert row == {
        "dataset": "patients",
        "epsilon_limit": 1.0,
        "epsilon_spent": 0.3,
        "epsilon_reserved": 0.0,
        "delta_limit": 1e-5,
        "delta_spent": 0.0,
    }
    assert ledger.commit(held.id, 0.3, 0.0) == row
    for wrong in (
        lambda: ledger.commit(held.id, 0.2, 0.0),
        lambda: ledger.refund(held.id),
        lambda: ledger.checkpoint(held.id, 1),
    ):
        with pytest.raises(CloisterError, match="already committed"):
            wrong()
    assert reserve(ledger, epsilon=0.8).state is ReservationState.COMMITTED


def test_commit_of_more_than_reserved_keeps_the_reservation_whole(ledger):
    held = reserve(ledger, epsilon=0.5)
    with pytest.raises(CloisterError, match="More was spent"):
        ledger.commit(held.id, 0.6, 0.0)
    assert ledger.row("patients", LIMIT)["epsilon_reserved"] == 0.5


def test_refund_only_before_data_is_touched(ledger):
    held = reserve(ledger, epsilon=0.5)
    assert ledger.refund(held.id)["epsilon_reserved"] == 0.0
    assert ledger.refund(held.id)["epsilon_reserved"] == 0.0
    with pytest.raises(CloisterError, match="already refunded"):
        ledger.commit(held.id, 0.0, 0.0)
    touched = reserve(ledger, epsilon=0.5, key="b")
    ledger.checkpoint(touched.id, 0)
    with pytest.raises(CloisterError, match="touched data"):
        ledger.refund(touched.id)


@pytest.mark.parametrize(
    ("epsilon", "delta"),
    [(-0.1, 0.0), (float("nan"), 0.0), (float("inf"), 0.0), (0.1, 1.0), (0.1, -1e-9), (1e30, 0.0)],
)
def test_amounts_out_of_range_are_refused(ledger, epsilon, delta):
    with pytest.raises(CloisterError) as caught:
        reserve(ledger, epsilon=epsilon, delta=delta)
    assert caught.value.code in {"CLO-DP-001", "CLO-DP-003"}
    assert ledger.row("patients", LIMIT)["epsilon_reserved"] == 0.0


def test_cost_below_the_smallest_unit_is_not_free(ledger):
    held = reserve(ledger, epsilon=1e-15, delta=1e-25)
    assert held.epsilon == 1e-12
    assert held.delta == 1e-18


def test_set_limit_replaces_the_policy_and_survives(home, ledger):
    ledger.set_limit("patients", 2.0, 1e-4)
    reserve(ledger, epsilon=1.5)
    with BudgetLedger(home) as again:
        assert again.row("patients", LIMIT)["epsilon_limit"] == 2.0
        assert [row["dataset"] for row in again.rows(lambda _: LIMIT, ("zoo",))] == [
            "patients",
            "zoo",
        ]


def test_lost_ledger_is_not_a_fresh_budget(home, ledger):
    reserve(ledger, epsilon=1.0)
    ledger.close()
    for path in home.ledger_path.parent.glob("ledger.db*"):
        path.unlink()
    with pytest.raises(StoreUnavailable) as caught:
        BudgetLedger(home)
    assert caught.value.code == "CLO-STORE-002"


def test_damaged_ledger_refuses(home, ledger):
    ledger.close()
    home.ledger_path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreUnavailable) as caught:
        BudgetLedger(home)
    assert caught.value.code == "CLO-STORE-002"


def test_locked_ledger_says_so(home, ledger):
    other = sqlite3.connect(home.ledger_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable) as caught:
        BudgetLedger(home, busy_timeout_ms=50)
    assert caught.value.code == "CLO-STORE-003"
    other.rollback()


def _spend_all(root, worker, results):
    with BudgetLedger(Home(Path(root))) as ledger:
        granted, limit = 0, BudgetLimit(3.0, 0.5)
        for i in range(20):
            try:
                held = reserve(ledger, epsilon=0.07, key=f"{worker}-{i}", limit=limit)
            except BudgetExceeded:
                continue
            granted += 1
            if i % 2:
                ledger.commit(held.id, 0.07, 0.0)
        results.put(granted)


def test_eight_processes_never_overspend(home):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [
        context.Process(target=_spend_all, args=(str(home.root), w, results)) for w in range(8)
    ]
    for worker in workers:
        worker.start()
    granted = sum(results.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join(30)
    assert granted == int(Fraction("3.0") / Fraction("0.07"))
    with BudgetLedger(home) as ledger:
        row = ledger.row("patients", BudgetLimit(3.0, 0.5))
    assert Fraction(str(row["epsilon_spent"])) + Fraction(str(row["epsilon_reserved"])) == (
        granted * Fraction("0.07")
    )


class LedgerMachine(RuleBasedStateMachine):
    """Any order of calls keeps committed and open amounts within the limit, exactly."""

    def __init__(self):
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.ledger = BudgetLedger(ensure_home(Home(Path(self.directory.name) / "h")))
        self.open, self.spent, self.count = {}, Fraction(0), 0

    @rule(milli=st.integers(1, 400))
    def reserve(self, milli):
        self.count += 1
        fits = self.spent + sum(e for e, _ in self.open.values()) + Fraction(milli, 1000) <= 1
        try:
            held = reserve(self.ledger, epsilon=milli / 1000, key=str(self.count))
        except BudgetExceeded:
            assert not fits
        else:
            assert fits
            self.open[held.id] = (Fraction(milli, 1000), False)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def settle(self, data):
        name = list(self.open)[
            data.draw(st.integers(0, len(self.open) - 1))
        ]  # in order of reserving
        reserved, touched = self.open[name]
        match data.draw(st.sampled_from(["commit", "refund", "checkpoint"])):
            case "commit":
                part = data.draw(st.integers(0, int(reserved * 1000)))
                self.ledger.commit(name, part / 1000, 0.0)
                self.spent += Fraction(part, 1000)
                del self.open[name]
            case "refund" if touched:
                with pytest.raises(CloisterError):
                    self.ledger.refund(name)
            case "refund":
                self.ledger.refund(name)
                del self.open[name]
            case _:
                self.ledger.checkpoint(name, 1)
                self.open[name] = (reserved, True)

    @invariant()
    def sums_are_exact(self):
        row = self.ledger.row("patients", LIMIT)
        assert Fraction(str(row["epsilon_spent"])) == self.spent
        assert Fraction(str(row["epsilon_reserved"])) == sum(e for e, _ in self.open.values())
        assert self.spent <= 1

    def teardown(self):
        self.ledger.close()
        self.directory.cleanup()


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=15,
    stateful_step_count=20,
    suppress_health_check=[HealthCheck.too_slow],
)
