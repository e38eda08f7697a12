"""The server keeps witnesses up to date without a kernel, and follows the policy while it runs."""

import time

from cloister.store.checkpoint import Verifier, parse_checkpoint
from cloister.store.evidence.journal import read_newest
from cloister.store.keys import open_keyring
from cloister_lab.witnesses import LiveRules
from labserver import Execution, append, make_home, run_server

PATIENCE_S = 30
KERNEL = "00000000-1111-4222-8333-444444444444"


def named(home, path, every_s=1):
    home.policy_path.write_text(
        f"version: 1\nrecord: {{witnesses: [{{name: share, file: {path}, every_s: {every_s}}}]}}\n"
    )


def known(home, path):
    """How many events the file elsewhere knows."""
    keyring = open_keyring(home)
    newest = read_newest(path, Verifier(keyring.key_name, keyring.public_key_bytes))
    return newest[1].size if newest else 0


def test_events_without_a_kernel_reach_the_witness(tmp_path):
    home = make_home(tmp_path / "home")
    append(home, Execution(KERNEL))
    with run_server(tmp_path, home):
        named(home, tmp_path / "share")  # while it runs
        deadline = time.monotonic() + PATIENCE_S
        while known(home, tmp_path / "share") < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        append(home, Execution(KERNEL, is_finished=False))  # as a kernel that was killed leaves it
        while known(home, tmp_path / "share") < 4 and time.monotonic() < deadline:
            time.sleep(0.1)
    last = parse_checkpoint(home.witness_path.read_text()).size
    assert known(home, tmp_path / "share") == last == 4  # the server's own start, too


def test_a_server_that_ends_asks_once_more(tmp_path):
    home = make_home(tmp_path / "home")
    named(home, tmp_path / "share", every_s=3600)
    append(home, Execution(KERNEL))
    with run_server(tmp_path, home):
        append(home, Execution(KERNEL))
    assert known(home, tmp_path / "share") == 5


def test_a_broken_policy_leaves_the_witnesses_that_were_named(tmp_path):
    home = make_home(tmp_path / "home")
    rules = LiveRules(home)
    assert rules().witnesses == ()
    named(home, tmp_path / "share")
    assert [rule.name for rule in rules().witnesses] == ["share"]
    home.policy_path.write_text("nonsense")
    assert [rule.name for rule in rules().witnesses] == ["share"]
    home.policy_path.unlink()
    assert [rule.name for rule in rules().witnesses] == ["share"]
