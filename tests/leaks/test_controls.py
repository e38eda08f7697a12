"""Each control holds its cases: when it is off, and only then, they leak."""

from __future__ import annotations

import os

import pytest
from cloister.cli.drill.cases import Outcome, load_corpus
from cloister.cli.drill.ground import WITHOUT_HOOKS
from cloister.cli.drill.running import Worker

from .controls import CONTROLS

CASES = {case.id: case for case in load_corpus()}


@pytest.mark.parametrize("name", CONTROLS)
def test_without_the_control_its_cases_leak(name, ground, canaries, monkeypatch):
    control = CONTROLS[name]
    if control.needs_root and os.geteuid() != 0:
        pytest.skip("only kernels of root need it")
    control.switch(monkeypatch, ground)
    with Worker(ground, canaries, f"without-{name}", WITHOUT_HOOKS) as worker:
        for case_id in control.cases:
            result = worker.run(CASES[case_id])
            assert result.outcome is Outcome.LEAKED, f"{case_id} {result.outcome}: {result.why}"


def test_with_every_control_none_of_them_leaks(ground, canaries):
    cases = dict.fromkeys(case for control in CONTROLS.values() for case in control.cases)
    with Worker(ground, canaries, "with-all", WITHOUT_HOOKS) as worker:
        outcomes = {case_id: worker.run(CASES[case_id]).outcome for case_id in cases}
    assert set(outcomes.values()) <= {Outcome.BLOCKED, Outcome.MASKED}, outcomes
