"""Where there are no namespaces: the corpus behind Landlock and the filter alone.

Root's kernels keep root's number there, so the policy has to accept that (``optional``); what an
ordinary account gets is in ``tests/sidecar/test_ordinary_user.py``.
"""

from __future__ import annotations

import os

import pytest
from cloister.cli.drill.cases import Outcome, load_corpus
from cloister.cli.drill.ground import WITHOUT_HOOKS, Ground
from cloister.cli.drill.running import Worker
from cloister.sidecar import bpf, enclosure, reducedwalls
from cloister.sidecar.landlock import Access

from .holding import must_hold

FAMILIES = {"filesystem", "isolation", "network"}
POLICY = b"version: 1\nsandbox: optional\n"
# They are root, and stay it without a right: to become what one is succeeds.
_OF_ROOT = {"isolation-become-root"} if os.geteuid() == 0 else set()
CASES = {case.id: case for case in load_corpus() if case.family in FAMILIES and case.quick}


@pytest.fixture(scope="module")
def no_namespaces(tmp_path_factory):
    """A bubblewrap that cannot make any comes first."""
    directory = tmp_path_factory.mktemp("bin")
    (directory / "bwrap").write_text("#!/bin/sh\nexit 1\n")
    (directory / "bwrap").chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{directory}{os.pathsep}{before}"
    yield
    os.environ["PATH"] = before


@pytest.fixture(scope="module")
def ground(canaries, no_namespaces):
    if not reducedwalls.probe().holds:
        pytest.skip("no Landlock here")
    with Ground(canaries, POLICY) as ground:
        yield ground


@pytest.fixture(scope="module")
def worker(ground, canaries):
    with Worker(ground, canaries, "reduced", WITHOUT_HOOKS) as worker:
        yield worker


@pytest.mark.parametrize("case_id", sorted(CASES.keys() - _OF_ROOT))
def test_holds(worker, case_id):
    must_hold(worker, CASES[case_id])


def everything(plan, private, filter_file):
    return reducedwalls.ReducedPlan((("/", Access.WRITE),), str(filter_file), str(plan.cwd))


def no_filter(**_):
    return bpf.assemble([bpf.allow()])


@pytest.mark.parametrize(
    ("weakness", "cases"),
    [
        (
            (reducedwalls, "reduced_plan", everything),
            ["filesystem-read-outside", "filesystem-write-outside", "filesystem-read-guard-home"],
        ),
        (
            (enclosure, "filter_program", no_filter),
            ["network-udp", "network-unix-socket", "isolation-key-ring", "isolation-trace-child"],
        ),
    ],
    ids=["landlock", "filter"],
)
def test_without_one_of_them_its_cases_leak(ground, canaries, monkeypatch, weakness, cases):
    monkeypatch.setattr(*weakness)
    with Worker(ground, canaries, f"without-{weakness[1]}", WITHOUT_HOOKS) as worker:
        for case_id in cases:
            result = worker.run(CASES[case_id])
            assert result.outcome is Outcome.LEAKED, f"{case_id} {result.outcome}: {result.why}"
