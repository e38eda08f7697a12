"""A guarded kernel keeps its witnesses up to date, and stops where the policy says that it must."""

import time

import pytest
from cloister.store.checkpoint import Verifier, parse_checkpoint
from cloister.store.evidence.journal import read_newest
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring

PATIENCE_S = 60


def until(condition):
    """Waits for what happens beside the cells."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)
    return found


@pytest.fixture
def policy(home, tmp_path):
    ensure_home(Home(home))

    def write(on_lag):
        (home / "policy.yaml").write_text(
            "version: 1\nrecord:\n  witnesses:\n"
            f"    - {{name: share, file: {tmp_path}/mount/share, every_s: 1}}\n"
            f"  lag_s: 1\n  on_lag: {on_lag}\n"
        )

    return write


def test_a_late_witness_stops_cells_until_it_is_back(start_kernel, home, policy, tmp_path):
    policy("report")
    kernel = start_kernel()
    assert kernel.run("1 + 1").status == "ok"
    time.sleep(3)
    assert kernel.run("1 + 1").status == "ok", "by default it is only said"

    policy("refuse")
    refused = until(lambda: (r := kernel.run("2 + 2")).status == "error" and r)
    assert "CLO-WITNESS-001" in refused.everything
    assert "4" not in refused.text

    (tmp_path / "mount").mkdir()
    back = until(lambda: (r := kernel.run("3 + 3")).status == "ok" and r)
    assert "6" in back.text

    kernel.manager.shutdown_kernel()
    keyring = open_keyring(Home(home))
    verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
    last = parse_checkpoint((home / "witness" / "checkpoint").read_text())
    known = read_newest(tmp_path / "mount" / "share", verifier)
    assert known[1].size == last.size, "what was left is told when the kernel ends"
