"""``cloister keys`` and ``cloister lineage erase``, as people call them."""

import json

import pytest
from cloister.cli.main import run
from cloister.core.records import Record
from cloister.detect.tokens import Tokenizer
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog

SSN = "219-09-9871"


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = ensure_home(Home(tmp_path / "home"))
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))
    monkeypatch.setenv("CLOISTER_USER", "admin")
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def say(home, capsys):
    def say(*arguments):
        code = run([*map(str, arguments)])
        out, err = capsys.readouterr()
        assert SSN not in out + err
        return code, out, err

    return say


@pytest.fixture
def call(say):
    def call(*arguments):
        code, out, _ = say(*arguments, "--json")
        return code, json.loads(out)

    return call


@pytest.fixture
def record(home):
    """Ann's cell shows a masked number, bob's shows none."""
    keyring = open_keyring(home)
    token = Tokenizer(keyring.token_key, keyring.reversible_key).token("US_SSN", SSN)
    with LineageLog(home, keyring) as log:
        for name, user, text in (("a1", "ann", f"ssn {token}"), ("b1", "bob", "nothing")):
            body = {"execution_id": name, "user": user, "kernel_id": f"k-{user}"}
            code = json.dumps({"code": f"print({name})"}).encode()
            log.append([Record("cell.intent", body, code)])
            result = {"execution_id": name, "kernel_id": f"k-{user}", "reads": []}
            outputs = json.dumps({"outputs": [{"content": {"text": text}}]}).encode()
            log.append([Record("cell.result", result, outputs)])
    return home


def states(call, execution):
    return [event["payload_state"] for event in call("lineage", "show", execution)[1]["events"]]


def test_erase_by_subject_says_what_was_erased_and_what_remains(call, say, record):
    code, report = call("lineage", "erase", "--subject", "user:ann", "--reason", "she asked")
    assert code == 0
    assert (report["erased"], report["by_rule"]) == (2, {"erase.subject": 2})
    assert any("digests" in line for line in report["remains"])
    assert states(call, "a1") == ["erased", "erased"]
    assert states(call, "b1") == ["open", "open"]
    event = call("lineage", "show", "a1")[1]["events"][0]
    assert event["payload"] is None
    assert event["erasure"]["code"] == "CLO-ERASE-001"
    assert event["erasure"]["rule"] == "erase.subject"
    assert event["erasure"]["seq"] == report["tombstones"][0]
    assert call("lineage", "verify")[1]["ok"]
    assert "erased" in say("lineage", "show", "a1")[1]
    assert call("lineage", "erase", "--subject", "bob")[1]["erased"] == 2, "a bare name"


def test_erase_by_person_finds_the_value_and_its_tokens(call, record, tmp_path):
    values = tmp_path / "values"
    values.write_text(f"{SSN}\n")
    code, report = call("lineage", "erase", "--person", values, "--dry-run")
    assert (code, report["would_erase"], report["erased"]) == (0, 1, 0)
    code, report = call("lineage", "erase", "--person", values)
    assert report["erased"] == 1
    assert states(call, "a1") == ["open", "erased"]
    assert SSN not in json.dumps(report)
    (tombstone,) = report["tombstones"]
    with LineageLog(record, open_keyring(record)):
        pass
    assert SSN.encode() not in record.lineage_path.read_bytes()
    assert tombstone == 4
    assert call("lineage", "verify")[1]["ok"]
    values.write_text("ab\n")
    code, error = call("lineage", "erase", "--person", values)
    assert (code, error["error"]["code"]) == (2, "CLO-ERASE-006")


def test_erase_refuses_by_policy_with_the_rule(call, record):
    record.policy_path.write_text(
        "version: 1\nretention:\n  classes:\n    - {name: all, types: ['*'], minimum_days: 180}\n"
    )
    code, error = call("lineage", "erase", "--subject", "user:ann")
    assert (code, error["error"]["code"]) == (1, "CLO-ERASE-003")
    assert error["error"]["rule"] == "retention.classes[0].minimum_days"
    record.policy_path.write_text(
        "version: 1\nretention:\n  holds:\n    - {subject: 'user:ann', reason: case 17}\n"
    )
    code, error = call("lineage", "erase", "--before", "2999-01-01")
    assert (code, error["error"]["code"]) == (1, "CLO-ERASE-004")
    code, report = call("lineage", "erase", "--before", "2999-01-01", "--skip-kept")
    assert (report["erased"], report["kept"]["held"]) == (2, {"retention.holds[0]": 2})
    assert states(call, "a1") == ["open", "open"]


def test_erase_expired_follows_the_policy(call, record):
    record.policy_path.write_text(
        "version: 1\nretention:\n  classes:\n"
        "    - {name: outputs, types: [cell.result], maximum_days: 0}\n"
    )
    rows = {g["id"]: g for g in call("doctor")[1]["guarantees"]}
    assert not rows["retention"]["holds"]
    report = call("lineage", "erase", "--expired")[1]
    assert report["by_rule"] == {"retention.classes[0].maximum_days": 2}
    assert states(call, "a1") == ["open", "erased"]
    assert {g["id"]: g for g in call("doctor")[1]["guarantees"]}["retention"]["holds"]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--expired", "--before", "2026-01-01"),
        ("--subject", "ann:ann"),
        ("--subject", "nobody"),
    ],
)
def test_erase_with_nothing_to_go_by_is_bad_usage(call, record, arguments):
    assert call("lineage", "erase", *arguments)[0] == 2


def test_rotate_and_status(call, say, record):
    before = call("keys", "status")[1]
    assert (before["generation"], before["provider"]) == (1, "machine")
    code, rotated = call("keys", "rotate", "--signing-key")
    assert (code, rotated["generation"], rotated["rewrapped"]) == (0, 2, 4)
    after = call("keys", "status")[1]
    assert all(key["ok"] for key in after["keys"])
    assert after["public_key"] == rotated["public_key"] != before["public_key"]
    assert (after["signing_keys_replaced"], after["rotation_unfinished"]) == (1, False)
    assert states(call, "a1") == ["open", "open"]
    assert call("lineage", "verify")[1]["ok"]
    assert "Workspace key 3" in say("keys", "rotate")[1]


def test_keys_move_to_a_provider_and_status_says_so(call, record, tmp_path):
    secret = tmp_path / "phrase"
    secret.write_text("correct horse")
    secret.chmod(0o600)
    file = tmp_path / "keys.yaml"
    file.write_text(f"provider: local\npassphrase_file: {secret}\n")
    assert call("keys", "rotate", "--provider", file)[0] == 0
    assert call("keys", "status")[1]["provider"] == "local"
    assert {g["id"]: g for g in call("doctor")[1]["guarantees"]}["keys"]["holds"]
    secret.write_text("another")
    code, status = call("keys", "status")
    assert code == 1
    assert "correct horse" not in json.dumps(status)
    code, error = call("lineage", "show", "a1")
    assert (code, error["error"]["code"]) == (1, "CLO-KEYS-010")
    file.write_text("provider: local\n")
    assert call("keys", "rotate", "--provider", file)[0] == 2
