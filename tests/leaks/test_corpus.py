"""The leak corpus: every way out that we know, tried for real, with and without hooks.

Law 2 of the design: what runs outside the kernel decides. So each case runs in a kernel with hooks
and in one that never loaded them, and the guarantee must be the same.
"""

from __future__ import annotations

import csv
import json
import os
import queue
import sys
from pathlib import Path

import pytest
import yaml

CASES = yaml.safe_load(Path(__file__).with_name("corpus.yaml").read_text("utf-8"))
PATIENTS = [
    {
        "name": f"{first} {last}",
        "ssn": f"219-09-{9800 + i}",
        "email": f"{first}.{last}@example.org".lower(),
        "sex": "FM"[i % 2],
    }
    for i, (first, last) in enumerate(
        [
            ("Maria", "Lindqvist"),
            ("Zebulon", "Quartermain"),
            ("Ingrid", "Vasquez"),
            ("Tomasz", "Okonkwo"),
            ("Yevgenia", "Castellanos"),
            ("Bartholomew", "Nakamura"),
        ]
        * 5
    )
]
SETUP = (
    "import pandas as pd\n"
    "df = pd.read_csv('patients.csv')\n"
    "row = df.iloc[0].to_dict()\n"
    "from IPython.display import display\n"
)


@pytest.fixture(scope="module", params=["with-hooks", "without-hooks"])
def leaky_kernel(request, tmp_path_factory, kernel_class):
    """A kernel that holds catalogued patients; the second one runs plain ipykernel."""
    root = tmp_path_factory.mktemp("leaks")
    workspace = root / "workspace"
    workspace.mkdir()
    with (workspace / "patients.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, PATIENTS[0])
        writer.writeheader()
        writer.writerows(PATIENTS)
    kernels = root / "kernels"
    spec = _bare_spec(kernels) if request.param == "without-hooks" else "cloister"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOISTER_HOME", str(root / "home"))
        patch.setenv("JUPYTER_PATH", str(root))
        _register(workspace / "patients.csv")
        kernel = kernel_class(spec, workspace)
    assert kernel.run(SETUP).status == "ok"
    yield kernel
    kernel.close()


def _bare_spec(directory):
    from cloister.sidecar.kernelspec import kernel_json

    spec = kernel_json()
    spec["argv"] = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (directory / "bare").mkdir(parents=True)
    (directory / "bare" / "kernel.json").write_text(json.dumps(spec))
    return "bare"


def _register(path):
    from cloister.store.catalog import Catalog
    from cloister.store.home import ensure_home, locate_home

    Catalog(ensure_home(locate_home(os.environ))).add("patients", str(path))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_nothing_leaves(leaky_kernel, case):
    result = leaky_kernel.run(case["code"])
    seen = [result.everything]
    while True:  # what threads and comms still say
        try:
            message = leaky_kernel.client.get_iopub_msg(timeout=0.05)
        except queue.Empty:
            break
        seen.append(repr((message["content"], message["metadata"], message["parent_header"])))
    text = _plain("".join(seen))
    for patient in PATIENTS[:6]:
        for column in ("name", "ssn", "email"):
            assert _plain(patient[column]) not in text, column


def test_the_check_itself_sees_a_leak(leaky_kernel, tmp_path_factory):
    """Where the policy shows everything, the value arrives: the cases can fail."""
    home = Path(leaky_kernel.manager.provisioner._spec.home)
    policy = home / "policy.yaml"
    before = policy.read_text()
    policy.write_text("version: 1\ndisplay: {confidential: show, restricted: show}\n")
    try:
        result = leaky_kernel.run("print(row['name'])")
    finally:
        policy.write_text(before)
    assert _plain(PATIENTS[0]["name"]) in _plain(result.everything)


def test_ids_are_unique():
    ids = [case["id"] for case in CASES]
    assert len(ids) == len(set(ids))


def _plain(text):
    return "".join(c for c in text.lower() if c.isalnum() or c == "@")
