"""The demo as a stranger meets it: data, notebooks, and a headless run through a real server."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
STORY = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))


def make_data(out: Path, *, rows: int = 400, seed: int | None = None) -> Path:
    command = [sys.executable, NOTEBOOKS / "make_data.py", f"--rows={rows}", f"--out={out}"]
    if seed is not None:
        command.append(f"--seed={seed}")
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return out


def digests(directory: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(directory.iterdir())}


def run_demo(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"CLOISTER_HOME": str(home), "COLUMNS": "160", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, NOTEBOOKS / "run_demo.py", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )


@pytest.fixture(scope="module")
def hospital(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp("hospital"), rows=3000)


def test_same_seed_gives_the_same_bytes(tmp_path):
    assert digests(make_data(tmp_path / "one")) == digests(make_data(tmp_path / "two"))


def test_another_seed_gives_other_data(tmp_path):
    one, two = digests(make_data(tmp_path / "one")), digests(make_data(tmp_path / "two", seed=7))
    assert all(one[name] != two[name] for name in one)


def test_default_size_is_that_of_a_hospital(tmp_path):
    subprocess.run(
        [sys.executable, NOTEBOOKS / "make_data.py", f"--out={tmp_path}"], check=True, timeout=60
    )
    assert len(pd.read_csv(tmp_path / "patients.csv")) == 20_000
    assert len(pd.read_parquet(tmp_path / "visits.parquet")) >= 60_000
    assert len((tmp_path / "notes.jsonl").read_text("utf-8").splitlines()) >= 10_000


def test_numbers_have_valid_check_digits(hospital):
    patients = pd.read_csv(hospital / "patients.csv", dtype=str)
    for card in patients["card_number"].dropna().str.replace(" ", ""):
        doubled = [int(d) * (2 - i % 2) for i, d in enumerate(card)]
        assert len(card) == 16
        assert sum(d - 9 * (d > 9) for d in doubled) % 10 == 0
    for iban in patients["insurance_iban"].dropna():
        digits = "".join(str(int(c, 36)) for c in iban[4:] + iban[:4])
        assert int(digits) % 97 == 1
        assert len(iban) == {"DE": 22, "NL": 18, "GB": 22}[iban[:2]]
    for ssn in patients["ssn"]:
        area, group, serial = (int(part) for part in ssn.split("-"))
        assert 0 < area < 900
        assert area != 666
        assert group > 0
        assert serial > 0
    assert patients["ssn"].is_unique
    assert patients["mrn"].is_unique


def test_people_cannot_be_reached(hospital):
    patients = pd.read_csv(hospital / "patients.csv", dtype=str)
    assert patients["phone"].dropna().str.contains(r"555.01\d\d$").all()
    assert patients["email"].dropna().str.contains(r"[@.]example\.(?:com|org|net)$").all()


def test_readmission_can_be_learned_but_not_perfectly(hospital):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    visits = pd.read_parquet(hospital / "visits.parquet").dropna()
    features = visits[["age_at_visit", "hba1c", "smoker", "length_of_stay_days", "earlier_visits"]]
    model = LogisticRegression(max_iter=2000).fit(features, visits["readmitted_30d"])
    score = roc_auc_score(visits["readmitted_30d"], model.predict_proba(features)[:, 1])
    assert 0.7 < score < 0.95


def test_notes_mention_their_patients_in_prose(hospital):
    patients = pd.read_csv(hospital / "patients.csv", dtype=str).set_index("mrn")
    notes = pd.read_json(hospital / "notes.jsonl", lines=True)
    names = patients.loc[notes["mrn"], "name"]
    named = sum(name in text for name, text in zip(names, notes["text"], strict=True))
    assert named > 0.9 * len(notes)
    assert notes["text"].str.contains(r"555.01\d\d").mean() > 0.2


def leaks_module():
    sys.path.insert(0, str(NOTEBOOKS))
    try:
        from headless import leaks
    finally:
        sys.path.remove(str(NOTEBOOKS))
    return leaks


def test_leak_check_sees_values_in_other_clothes(hospital):
    patients = pd.read_csv(hospital / "patients.csv", dtype=str).dropna()
    row = patients.iloc[0]
    raw = leaks_module().RawValues(hospital)
    area, group, serial = row["ssn"].split("-")
    shown = {
        "ssn": f"the number is {area} {group} {serial}.",
        "card_number": row["card_number"].replace(" ", "-"),
        "name": json.dumps({"content": {"text/html": f"<td>{row['name'].upper()}</td>"}}),
        "email": f"\\u0020 to={row['email']}",
        "phone": re.sub(r"\D", "", row["phone"])[-10:],
        "mrn": f"mrn={row['mrn']};",
    }

    for column, text in shown.items():
        assert raw.find([text])[column] >= 1, column


def test_leak_check_is_silent_on_masked_text(hospital):
    raw = leaks_module().RawValues(hospital)
    assert not raw.find(["US_SSN~k3f7x2abqd PERSON~aaaaabbbbb 0.123 42 Cardiology 2024-01-01"])


@pytest.mark.parametrize("path", STORY, ids=lambda p: p.stem)
def test_notebook_is_stored_without_outputs_for_the_guarded_kernel(path):
    notebook = json.loads(path.read_text("utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "cloister"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


@pytest.mark.timeout(600)
def test_demo_runs_headless_and_keeps_its_promises(tmp_path):
    done = run_demo(tmp_path / "home")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert "no raw value of the register" in done.stdout
    assert "the lineage log verifies" in done.stdout
    for path in STORY:
        assert path.name in done.stdout


@pytest.mark.timeout(600)
def test_demo_fails_on_a_kernel_that_is_not_guarded(tmp_path):
    done = run_demo(tmp_path / "home", "--kernel", "python3", "--only", "01_first_look.ipynb")
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-3000:]
    assert "raw values were seen" in done.stdout


def test_demo_says_what_to_do_when_the_kernel_is_missing(tmp_path):
    done = run_demo(tmp_path / "home", "--kernel", "no-such-kernel")
    assert done.returncode == 2
    assert "python -m cloister.sidecar.kernelspec" in done.stdout.replace("\n", " ")
