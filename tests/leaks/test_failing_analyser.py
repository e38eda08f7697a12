"""An analyser that breaks lets nothing by and ends nothing: not in code, outputs or errors."""

from __future__ import annotations

import pytest

from .controls import in_sidecar

WORD = "'stum' + 'ble'"


@pytest.fixture
def kernel(start_kernel, monkeypatch):
    in_sidecar("failing-at-a-word")(monkeypatch, None)
    return start_kernel()


def test_code_that_cannot_be_checked_does_not_run(kernel):
    refused = kernel.run("ran = 'stumble'")
    assert (refused.status, refused.reply["ename"]) == ("error", "CloisterError")
    assert "CLO-GATE-006" in refused.reply["evalue"]
    assert "stumble" not in refused.everything
    assert kernel.run("'ran' in globals()").text == "False"


@pytest.mark.parametrize(
    "code",
    [
        f"print({WORD})",
        f"{WORD}",
        f"raise ValueError({WORD})",
        f"import os; os.write(1, ({WORD}).encode())",
    ],
    ids=["stream", "result", "error", "process"],
)
def test_output_that_cannot_be_checked_does_not_leave(kernel, code):
    assert "stumble" not in kernel.run(code).everything
    assert kernel.run("6 * 7").text == "42"
