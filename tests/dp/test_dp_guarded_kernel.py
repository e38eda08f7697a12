"""Private computations as a user runs them: a catalogued file and a real guarded kernel."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cloister.store.budget import BudgetLedger
from cloister.store.home import Home

pytestmark = pytest.mark.timeout(170)

NAMES = ["Ada Lovelace", "Grace Hopper", "Edsger Dijkstra", "Barbara Liskov"]


def cloister(*arguments: str) -> str:
    command = Path(sys.executable).with_name("cloister")
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def kernel(home, workspace, start_kernel):
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(5)
    age = rng.integers(18, 95, 600)
    frame = pd.DataFrame(
        {
            "full_name": [NAMES[i % 4] for i in range(600)],
            "age": age,
            "days": rng.integers(0, 20, 600),
            "readmitted": (age > 60).astype(int),
        }
    )
    path = workspace / "patients.csv"
    frame.to_csv(path, index=False)
    cloister("init")
    cloister("catalog", "add", "patients", str(path))
    started = start_kernel()
    result = started.run("import pandas as pd, cloister_dp as dp\ndf = pd.read_csv('patients.csv')")
    assert result.status == "ok", result.text
    return started


def ok(kernel, code: str) -> str:
    result = kernel.run(code)
    assert result.status == "ok", result.reply
    return result.text


def spent(home: Path) -> dict[str, float]:
    ledger = BudgetLedger(Home(home.resolve()))
    return {str(row["dataset"]): float(row["epsilon_spent"]) for row in ledger.rows()}


def test_statistics_and_training_are_charged_to_the_dataset_that_was_read(kernel, home, workspace):
    ok(kernel, "old = df[df['days'] > 3]")
    mean = float(ok(kernel, "print(dp.mean(df['age'], bounds=(0, 120), epsilon=0.5))"))
    assert 40 < mean < 75
    ok(kernel, "dp.count(old, epsilon=0.25)")
    assert float(ok(kernel, "print(dp.budget()['patients'].epsilon_spent)")) == 0.75
    shown = ok(
        kernel,
        "import torch\n"
        "result = dp.train(torch.nn.Linear(2, 1), df, target='readmitted',"
        " features=['age', 'days'], bounds={'age': (0, 120), 'days': (0, 30)},"
        " epsilon=1, delta=1e-6, epochs=2, batch_size=100)\n"
        "print(result.run_id, result.epsilon)",
    )
    assert "patients: this training reserves ε 1" in shown
    run_id, epsilon = shown.split()[-2:]
    assert len(run_id) == 32  # recorded in the workspace, in spite of walls and without network
    assert (workspace / "mlflow.db").is_file()
    assert spent(home)["patients"] == pytest.approx(0.75 + float(epsilon), abs=1e-9)
    shown = ok(kernel, "print(dp.budget('patients'))")
    assert "patients" in shown
    budgets = json.loads(cloister("budget", "show", "--json"))
    assert budgets[0]["epsilon_spent"] == pytest.approx(0.75 + float(epsilon), abs=1e-9)


def test_refusals_name_the_column_and_the_budget_and_spend_nothing(kernel, home):
    refused = kernel.run(
        "import torch\n"
        "dp.train(torch.nn.Linear(3, 1), df, target='readmitted', epsilon=1, delta=1e-6)"
    )
    assert refused.status == "error"
    assert "full_name" in refused.everything
    assert "features=['age', 'days']" in refused.everything
    refused = kernel.run("dp.sum(df['days'], bounds=(0, 30), epsilon=9)")
    assert refused.status == "error"
    assert "CLO-DP-001" in refused.everything
    assert "cloister budget set patients" in refused.everything
    assert spent(home).get("patients", 0.0) == 0.0
    assert not any(name in refused.everything for name in NAMES)


def test_an_interrupted_training_is_charged_for_the_steps_it_ran(kernel, home, workspace):
    # The loss tells the test, through a file, that training is well under way.
    code = """
import pathlib, torch
calls = 0
def loss(output, target):
    global calls
    calls += 1
    if calls == 200:
        pathlib.Path("under-way").touch()
    return torch.nn.functional.binary_cross_entropy_with_logits(output, target, reduction="none")

dp.train(torch.nn.Linear(2, 1), df, target="readmitted", features=["age", "days"], loss=loss,
         bounds={"age": (0, 120), "days": (0, 30)}, epsilon=2, delta=1e-6, epochs=3000,
         batch_size=100)
"""

    def interrupt_when_it_trains() -> None:
        for _ in range(500):
            if (workspace / "under-way").exists():
                break
            threading.Event().wait(0.1)
        kernel.manager.interrupt_kernel()

    watcher = threading.Thread(target=interrupt_when_it_trains)
    watcher.start()
    result = kernel.run(code)
    watcher.join()
    assert result.status == "error"
    assert result.reply["ename"] == "KeyboardInterrupt", result.reply["evalue"]
    assert "Stopped in step" in result.text
    row = BudgetLedger(Home(home.resolve())).rows()[0]
    assert 0 < float(row["epsilon_spent"]) < 2
    assert row["epsilon_reserved"] == 0


def test_importing_costs_nothing_and_needs_no_torch():
    code = "import sys, cloister_dp; print({'torch', 'pandas', 'mlflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
