"""``lineage export``, ``prove --since``, ``verify --against`` and ``witness``, as they are used."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from cloister.cli.main import run
from cloister.core.records import Record
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.policy import check_policy, load_policy


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = ensure_home(Home(tmp_path / "home"))
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def call(home, capsys):
    def call(*arguments):
        code = run([*map(str, arguments), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def record(home, *names):
    with LineageLog(home, open_keyring(home)) as log:
        for name in names:
            body = {"execution_id": name, "user": "ann", "notebook": "a.ipynb"}
            log.append([Record("cell.intent", body, b'{"code": "df"}')])


@pytest.fixture
def kept(home, tmp_path):
    """A checkpoint over three events that a reviewer took away."""
    record(home, "exec-one", "exec-two", "exec-three")
    path = tmp_path / "kept.note"
    path.write_bytes(home.witness_path.read_bytes())
    return path


# --- bundles ------------------------------------------------------------------------------------


def test_a_bundle_goes_out_and_is_verified_in_another_workspace(
    call, home, kept, tmp_path, monkeypatch
):
    key = tmp_path / "lineage.pub"
    key.write_bytes((home.keys_dir / "lineage.pub").read_bytes())
    record(home, "exec-four")
    code, told = call("lineage", "export", "--format", "bundle", "-o", "b.zip", "--against", kept)
    assert (code, told) == (0, {"file": "b.zip", "events": 5, "size": 5})  # with its own record
    assert Path("b.zip").stat().st_mode & 0o077 == 0
    assert call("lineage", "export", "-o", "b.zip")[1]["error"]["code"] == "CLO-EXPORT-002"

    monkeypatch.setenv("CLOISTER_HOME", str(tmp_path / "reviewer"))
    code, report = call("lineage", "verify", "b.zip", "--key", key, "--against", kept)
    assert (code, report["ok"], report["events"]) == (0, True, 5)
    assert set(report) >= {"ok", "events", "root", "checkpoints", "first_bad"}
    assert call("lineage", "verify", "b.zip")[0] == 1, "the reviewer's own key did not sign this"
    data = Path("b.zip").read_bytes()
    Path("cut.zip").write_bytes(data[: len(data) // 2])
    assert call("lineage", "verify", "cut.zip", "--key", key)[0] in {1, 2}


def test_a_bundle_of_an_execution_or_of_a_time_shows_nothing_else(call, home, kept):
    code, told = call("lineage", "export", "-o", "one.zip", "--execution", "exec-two", "--payloads")
    assert (code, told["events"], told["size"]) == (0, 1, 4)
    assert call("lineage", "verify", "one.zip")[1]["ok"]
    seen = subprocess.run(
        ["unzip", "-p", "one.zip", "events.jsonl"], capture_output=True, check=True
    )
    assert b"exec-two" in seen.stdout
    assert b"exec-one" not in seen.stdout
    code, told = call("lineage", "export", "-o", "all.zip", "--since", "2020-01-01",
                      "--until", "2100-01-01T00:00:00Z", "--execution", "exec-three")  # fmt: skip
    assert (code, told["events"]) == (0, 1)
    code, error = call("lineage", "export", "-o", "none.zip", "--until", "2020-01-01")
    assert (code, error["error"]["code"]) == (2, "CLO-EXPORT-001")
    assert not Path("none.zip").exists()
    code, error = call("lineage", "export", "-o", "x.zip", "--execution", "nobody")
    assert (code, error["error"]["code"]) == (2, "CLO-INPUT-002")


def test_an_export_is_on_record(call, home, kept):
    assert call("lineage", "export")[1]["file"] == "record.zip"
    call("lineage", "export", "-o", "b.zip", "--execution", "exec-two", "--payloads")
    from cloister.store.lineage_reader import LineageReader

    with LineageReader(home) as reader:
        last = reader.entries()[-1]
    assert last.type == "lineage.exported"
    assert (last.body["events"], last.body["payloads"]) == (1, True)


def test_the_same_record_makes_the_same_bytes(home, kept, tmp_path):
    from cloister.core.recordrules import RecordRules
    from cloister.store.evidence.bundle import Selection, write_bundle
    from cloister.store.evidence.memory import Memories
    from cloister.store.evidence.reader import EvidenceReader

    for name in ("a.zip", "b.zip"):
        with EvidenceReader(home) as reader:
            write_bundle(tmp_path / name, reader, open_keyring(home), Selection(with_payloads=True),
                         rules=RecordRules(), memories=Memories(home))  # fmt: skip
        time.sleep(1.1)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_the_verifier_that_is_printed_runs_on_its_own(home, kept, tmp_path, capsys):
    assert run(["lineage", "export", "--verifier"]) == 0
    (tmp_path / "verify_record.py").write_text(capsys.readouterr().out)
    run(["lineage", "export", "-o", "b.zip"])
    key = (home.keys_dir / "lineage.pub").read_text().strip()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify_record.py", "--key", key, "b.zip"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "The bundle holds: 4 of the 4 events" in done.stdout


# --- a checkpoint that was kept -----------------------------------------------------------------


def test_growth_since_a_kept_checkpoint_is_proven_offline(call, home, kept, tmp_path):
    record(home, "exec-four", "exec-five")
    code, proof = call("lineage", "prove", "--since", kept)
    assert code == 0
    assert "exec" not in json.dumps(proof)
    Path("growth.json").write_text(json.dumps(proof))
    code, report = call("lineage", "verify", "growth.json", "--against", kept)
    assert (code, report["since"], report["events"]) == (0, 3, 5)
    for change in (
        {"path": proof["path"][:-1]},
        {"path": [*proof["path"], "00" * 32]},
        {"old": proof["old"].replace("\n3\n", "\n2\n")},
        {"checkpoint": proof["old"]},
        {"path": "x"},
    ):
        Path("bad.json").write_text(json.dumps({**proof, **change}))
        assert call("lineage", "verify", "bad.json", "--against", kept)[0] == 1, change
    newer = tmp_path / "newer.note"
    newer.write_bytes(home.witness_path.read_bytes())
    assert call("lineage", "verify", "growth.json", "--against", newer)[0] == 1
    code, error = call("lineage", "prove", "--since", home.keys_dir / "lineage.pub")
    assert (code, error["error"]["code"]) == (2, "CLO-INPUT-004")
    assert call("lineage", "prove")[0] == 2
    assert call("lineage", "prove", "exec-one", "--since", kept)[0] == 2


def test_a_record_that_does_not_continue_a_kept_checkpoint_is_found_everywhere(
    call, home, kept, tmp_path
):
    for path in [*home.lineage_path.parent.glob("lineage.db*"), home.witness_path]:
        path.unlink()
    record(home, "exec-a", "exec-b", "exec-c", "exec-d")
    assert call("lineage", "verify")[0] == 0, "by itself the forged record is whole"
    code, report = call("lineage", "verify", "--against", kept)
    assert (code, report["ok"]) == (1, False)
    for command in (("prove", "--since", kept), ("export", "-o", "b.zip", "--against", kept)):
        code, error = call("lineage", *command)
        assert (code, error["error"]["code"]) == (1, "CLO-WITNESS-002")
    assert not Path("b.zip").exists()


# --- witnesses ----------------------------------------------------------------------------------


@pytest.fixture
def served(call, home, tmp_path):
    """A witness in a process of its own, as its operator starts it; yields URL and key."""
    code, made = call("witness", "init", tmp_path / "w1", "--name", "audit.example.org/w1")
    assert code == 0
    process = subprocess.Popen(
        [sys.executable, "-c", "from cloister.cli.main import main; main()",
         "witness", "serve", tmp_path / "w1", "--port", "0"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    url = process.stdout.readline().strip()
    yield url, made["public_key"]
    process.terminate()
    process.wait(10)


def test_a_witness_from_its_making_to_its_objection(call, home, kept, served, tmp_path):
    url, key = served
    home.policy_path.write_text(
        "version: 1\nrecord:\n  witnesses:\n"
        f"    - {{name: w1, cosigner: {url}, key: {key}}}\n"
        f"    - {{name: share, file: {tmp_path}/share}}\n"
    )
    code, rows = call("witness", "push")
    assert (code, rows[0]["state"], rows[0]["missing"]) == (1, "behind", 3)
    assert "does not watch this log" in rows[0]["reason"]
    assert call("witness", "trust", tmp_path / "w1", home.keys_dir / "lineage.pub")[0] == 0
    code, rows = call("witness", "push")
    assert (code, [row["state"] for row in rows]) == (0, ["current", "current"])
    assert call("witness", "status")[0] == 0
    code, shown = call("witness", "show", tmp_path / "w1")
    assert (code, shown["public_key"], shown["logs"][0]["size"]) == (0, key, 3)

    by_id = {g["id"]: g for g in call("doctor")[1]["guarantees"]}
    assert by_id["witness"]["holds"]
    assert by_id["witness"]["why"] == "w1 knows all 3 events; share knows all 3 events"
    assert by_id["record-rollback"]["holds"]
    assert by_id["record-forgery"]["holds"]
    assert not by_id["record-backdating"]["holds"]

    code, told = call("lineage", "export", "-o", "b.zip")
    assert code == 0, told
    code, report = call("lineage", "verify", "b.zip", "--cosigner", key)
    assert (code, report["cosigned"][0]["size"]) == (0, 3)

    for path in [*home.lineage_path.parent.glob("lineage.db*"), home.witness_path]:
        path.unlink()
    record(home, "exec-a", "exec-b", "exec-c", "exec-d")
    code, rows = call("witness", "push")
    assert (code, [row["state"] for row in rows]) == (1, ["conflict", "conflict"])
    by_id = {g["id"]: g for g in call("doctor")[1]["guarantees"]}
    assert by_id["record"]["holds"], "by itself the forged record is whole"
    assert "CONTRADICTS" in by_id["witness"]["why"]
    assert not by_id["record-forgery"]["holds"]
    code, shown = call("witness", "show", tmp_path / "w1")
    assert (code, shown["logs"][0]["conflicts"]) == (1, 1)


def test_the_served_witness_answers_nothing_else(served):
    url, _ = served
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url)
    assert caught.value.code == 501


def test_without_witnesses_it_is_said_and_is_no_success(call, home):
    assert call("witness", "status") == (1, [])
    assert call("witness", "push") == (1, [])


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("{name: w1}", "must have one of file, cosigner, timestamp"),
        ("{name: w1, file: relative}", "file"),
        (
            "{name: w1, file: /a, cosigner: 'http://a', key: 'a+00000000+AA=='}",
            "must have one of file, cosigner, timestamp",
        ),
        ("{name: w1, cosigner: 'http://a'}", "key is missing"),
        ("{name: w1, cosigner: 'ftp://a', key: 'a+00000000+AA=='}", "cosigner"),
        ("{name: w1, timestamp: 'http://a'}", "ca_file is missing"),
        ("{name: ../x, file: /a}", "name"),
        ("{name: w1, file: /a}, {name: w1, file: /b}", "another witness w1"),
    ],
)
def test_a_witness_that_is_not_well_stated_is_a_mistake_in_the_policy(tmp_path, rule, problem):
    path = tmp_path / "policy.yaml"
    path.write_text(f"version: 1\nrecord: {{witnesses: [{rule}]}}\n")
    problems = check_policy(path)
    assert problems
    assert any(problem in p.message or problem in p.path for p in problems), problems


def test_intervals_and_patience_have_defaults_by_kind(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(
        "version: 1\nrecord:\n  on_lag: refuse\n  witnesses:\n"
        "    - {name: a, file: /a}\n    - {name: t, timestamp: 'http://t', ca_file: /ca}\n"
    )
    rules = load_policy(path, tmp_path / "cache.json").record
    assert [(w.name, w.every_s, w.every_events) for w in rules.witnesses] == [
        ("a", 60, 1000), ("t", 3600, 1000),
    ]  # fmt: skip
    assert (rules.lag_s, rules.on_lag.value) == (900, "refuse")
