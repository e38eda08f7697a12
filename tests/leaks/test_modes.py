"""What a mode promises, on cases of every family: seen in observe mode, nothing in an enclave."""

from __future__ import annotations

from itertools import groupby

import pytest
from cloister.cli.drill.cases import Outcome, load_corpus
from cloister.cli.drill.ground import WITHOUT_HOOKS, Ground
from cloister.cli.drill.running import Worker
from cloister.core.modes import Mode

OF_A_FAMILY = 2
CASES = [
    case
    for case in load_corpus()
    if case.quick
    and not (case.limit or case.ends_kernel or case.until)
    and case.missing(has_hooks=False) is None
]
SAMPLE = [
    case
    for _, family in groupby(CASES, key=lambda case: case.family)
    for case in [*family][:OF_A_FAMILY]
]
#: What observing does not tell of (docs/sharp-edges.md): it leaves, as it should, without an alert.
NOT_TOLD = {"debugger", "files", "markup", "notebooks", "pictures", "prompts", "replies", "splits"}
SHOWN = [c for c in SAMPLE if c.expect[Mode.GUARD] is Outcome.MASKED]
HELD_IN_ALL = [c for c in SAMPLE if c.expect[Mode.OBSERVE] is Outcome.BLOCKED]


def test_the_sample_has_nearly_every_family():
    families = {case.family for case in load_corpus()}
    assert families - {case.family for case in SAMPLE} <= {"covert", "late"}
    assert len(SHOWN) > 25
    assert len(HELD_IN_ALL) > 3


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.ENCLAVE])
def test_a_mode_does_what_it_says(canaries, mode):
    with (
        Ground(canaries, mode=mode) as ground,
        Worker(ground, canaries, mode.value, WITHOUT_HOOKS) as worker,
    ):
        results = {case.id: worker.run(case) for case in SAMPLE}
    failed = {
        case.id: (results[case.id].outcome.value, results[case.id].why)
        for case in SAMPLE
        if not results[case.id].holds(mode)
        and not (mode is Mode.OBSERVE and case.family in NOT_TOLD)
    }
    assert not failed, "\n".join(map(str, failed.items()))
    if mode is Mode.OBSERVE:
        told = [c for c in SHOWN if c.family not in NOT_TOLD]
        alerted = [c.id for c in told if results[c.id].outcome is Outcome.ALERTED]
        assert len(alerted) > 0.8 * len(told), "what guarding would mask is let out and told"
    walls = {case.id: results[case.id].outcome for case in HELD_IN_ALL}
    assert set(walls.values()) == {Outcome.BLOCKED}, "walls are the same in all modes"
