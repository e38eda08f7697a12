"""What a mode promises, on a case of each kind: seen in observe mode, nothing in an enclave."""

from __future__ import annotations

import pytest
from cloister.cli.drill.cases import Outcome, load_corpus
from cloister.cli.drill.ground import WITHOUT_HOOKS, Ground
from cloister.cli.drill.running import Worker
from cloister.core.modes import Mode

OUTPUTS = (
    "text-value",
    "mime-html",
    "encodings-base64",
    "errors-traceback-key",
    "comm-data",
    "late-second-cell",
    "providers-prompt",
)
WALLS = ("network-tcp", "filesystem-read-outside", "isolation-process-arguments")
CASES = {case.id: case for case in load_corpus()}


@pytest.mark.parametrize(
    ("mode", "of_outputs"), [(Mode.OBSERVE, Outcome.ALERTED), (Mode.ENCLAVE, Outcome.BLOCKED)]
)
def test_a_mode_does_what_it_says(canaries, mode, of_outputs):
    with (
        Ground(canaries, mode=mode) as ground,
        Worker(ground, canaries, mode.value, WITHOUT_HOOKS) as worker,
    ):
        results = {case_id: worker.run(CASES[case_id]) for case_id in (*OUTPUTS, *WALLS)}
    assert {results[i].outcome for i in OUTPUTS} == {of_outputs}, results
    assert {results[i].outcome for i in WALLS} == {Outcome.BLOCKED}, "walls are the same in all"
    assert all(result.holds(mode) for result in results.values())
