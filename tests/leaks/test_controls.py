"""Each control holds its cases: when it is off, and only then, they leak."""

from __future__ import annotations

import os
from contextlib import contextmanager

import pytest
import yaml
from cloister.cli.drill.cases import Outcome, load_corpus
from cloister.cli.drill.running import Worker

from .controls import CONTROLS, in_sidecar

CASES = {case.id: case for case in load_corpus()}
OF_THEIR_OWN = [n for n, c in CONTROLS.items() if c.policy or c.beside]


@contextmanager
def worker_of(control, ground, canaries, name):
    """A worker under the control's policy."""
    with Worker(ground, canaries, name, control.kernel) as worker:
        path, before = ground.home.policy_path, ground.home.policy_path.read_bytes()
        if control.policy is not None:
            said = control.policy(worker.addresses)
            path.write_text(yaml.safe_dump({**yaml.safe_load(before), **said}))
        try:
            yield worker
        finally:
            path.write_bytes(before)


@pytest.mark.parametrize("name", CONTROLS)
def test_without_the_control_its_cases_leak(name, ground, canaries, monkeypatch):
    control = CONTROLS[name]
    if control.needs_root and os.geteuid() != 0:
        pytest.skip("only kernels of root need it")
    control.switch(monkeypatch, ground)
    with worker_of(control, ground, canaries, f"without-{name}") as worker:
        for case_id in control.cases:
            result = worker.run(CASES[case_id])
            assert result.outcome is Outcome.LEAKED, f"{case_id} {result.outcome}: {result.why}"


def must_hold_all(controls, ground, canaries, name):
    with worker_of(controls[0], ground, canaries, name) as worker:
        for case_id in dict.fromkeys(case for control in controls for case in control.cases):
            result = worker.run(CASES[case_id])
            held = {Outcome.BLOCKED, Outcome.MASKED}
            assert result.outcome in held, f"{case_id} {result.outcome}: {result.why}"


def test_with_every_control_none_of_them_leaks(ground, canaries):
    controls = [control for name, control in CONTROLS.items() if name not in OF_THEIR_OWN]
    must_hold_all(controls, ground, canaries, "with-all")


@pytest.mark.parametrize("name", OF_THEIR_OWN)
def test_with_the_control_alone_none_of_its_cases_leaks(name, ground, canaries, monkeypatch):
    control = CONTROLS[name]
    if control.beside:
        in_sidecar(*control.beside)(monkeypatch, ground)
    must_hold_all([control], ground, canaries, f"with-{name}")


def test_a_worker_may_have_the_port_of_one_before_it(ground):
    for _ in range(2):
        ground.add_model(45_678)
    names = [p["name"] for p in yaml.safe_load(ground.home.policy_path.read_bytes())["providers"]]
    assert names.count("drill-45678") == 1
