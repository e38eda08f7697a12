"""Files in each mode, and values that only the workspace's data knows."""

from __future__ import annotations

import json

import pytest
from cloister.detect.exact import ExactIndex
from cloister.store.keys import open_keyring
from cloister.store.lineage_reader import LineageReader
from labserver import make_home, run_server

SSN = "512-34-6789"
NAME = "Torvald Quisling-Abara"


@pytest.fixture(scope="module", params=["observe", "guard", "enclave"])
def served(request, tmp_path_factory):
    base = tmp_path_factory.mktemp(request.param)
    home = make_home(base / "home")
    home.policy_path.write_text(f"version: 1\nmode: {request.param}\n")
    with run_server(base, home) as running:
        (running.root / "f.txt").write_text(f"ssn {SSN}\n")
        (running.root / "clean.txt").write_text("hello\n")
        yield request.param, running


def test_each_mode_does_what_it_says(served):
    mode, server = served
    seen = server.request("GET", "api/contents/f.txt").text
    got = server.request("GET", "files/f.txt")
    assert (SSN in seen) is (mode == "observe")
    assert (SSN in got.text) is (mode == "observe")
    if mode == "enclave":
        clean = server.request("GET", "files/clean.txt")
        assert clean.json()["code"] == got.json()["code"] == "CLO-FILES-007"
        exported = server.request("GET", "nbconvert/html/none.ipynb")
        assert exported.status_code in {403, 404}
    else:
        assert server.request("GET", "files/clean.txt").text == "hello\n"


def test_what_was_only_observed_is_recorded(served):
    mode, server = served
    server.request("GET", "api/contents/f.txt")
    with LineageReader(server.home) as reader:
        events = [e.body for e in reader.entries() if e.type == "file.leaving"]
    outcomes = {event["outcome"] for event in events}
    assert outcomes == ({{"observe": "shown", "guard": "mask", "enclave": "block"}[mode]})
    assert SSN not in json.dumps(events)


def test_values_that_a_scan_has_learned_are_known_at_once(tmp_path):
    home = make_home(tmp_path / "home")
    with run_server(tmp_path, home) as server:
        (server.root / "n.txt").write_text(f"met {NAME} today\n")
        assert NAME in server.request("GET", "files/n.txt").text
        index = ExactIndex(open_keyring(home).index_key)
        index.add("PERSON", [NAME])
        index.save(home.index_dir / "scan.idx")
        assert NAME not in server.request("GET", "files/n.txt").text
        assert NAME not in server.request("GET", "api/contents/n.txt").text
