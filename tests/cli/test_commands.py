"""The command line: JSON shapes of the contract, exit codes, and clean text for people."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from cloister.cli.main import run
from cloister.core.records import Record
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog

HOST_RULE = "version: 1\nname: lab\negress: {allow: [{host: hub.example.net}]}\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = Home(tmp_path / "home")
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))
    monkeypatch.setenv("CLOISTER_USER", "ann")
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def call(home, capsys):
    def call(*arguments):
        code = run([*map(str, arguments), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def say(home, capsys):
    def say(*arguments):
        code = run([*map(str, arguments)])
        return code, *capsys.readouterr()

    return say


@pytest.fixture
def recorded(home):
    ensure_home(home)
    body = {"execution_id": "exec-1", "kernel_id": "k", "user": "ann",
            "notebook": "\x1b[31mred.ipynb", "code_sha256": "0" * 64, "trace_id": "t",
            "silent": False, "attested_by": "sidecar"}  # fmt: skip
    result = {"execution_id": "exec-1", "status": "ok", "execution_count": 1,
              "duration_us": 2_000_000, "outputs": {"shown": 1, "masked": 1, "blocked": 0},
              "reads": [{"path": "/d/p.csv", "dataset": "patients"}], "egress": [],
              "labels": ["US_SSN"], "attested_by": "sidecar"}  # fmt: skip
    with LineageLog(home, open_keyring(home)) as log:
        log.append([Record("cell.intent", body, b'{"code": "df"}')])
        log.append([Record("cell.result", result, b'{"outputs": []}')])


def test_init_makes_a_workspace_once(call, home):
    code, first = call("init")
    assert code == 0
    assert first["home"] == str(home.root)
    assert call("init") == (0, first)


def test_lineage_list_has_the_shape_of_the_contract(call, recorded):
    code, rows = call("lineage", "list")
    assert code == 0
    assert set(rows[0]) == {
        "id", "seq", "time", "user", "notebook", "kernel_id", "execution_count", "code_sha256",
        "status", "duration_s", "reads", "outputs", "egress", "labels", "trace_id",
    }  # fmt: skip
    assert (rows[0]["status"], rows[0]["duration_s"]) == ("ok", 2.0)
    assert call("lineage", "list", "--before", "0") == (0, [])


def test_recorded_names_cannot_steer_a_terminal(say, recorded):
    code, out, _ = say("lineage", "list")
    assert code == 0
    assert "\x1b" not in out
    assert "red.ipynb" in out
    assert "patients" in out


def test_lineage_show_opens_payloads(call, recorded):
    code, shown = call("lineage", "show", "exec-1")
    assert code == 0
    assert shown["events"][0]["payload"] == {"code": "df"}
    code, error = call("lineage", "show", "nobody")
    assert (code, error["error"]["code"]) == (2, "CLO-INPUT-002")


def test_lineage_verify_says_whole_or_where_it_is_not(call, say, recorded, home):
    code, report = call("lineage", "verify")
    assert code == 0
    assert (report["ok"], report["events"], report["first_bad"]) == (True, 2, None)
    with sqlite3.connect(home.lineage_path) as database:
        database.execute("UPDATE event SET payload = zeroblob(50) WHERE seq = 1")
    database.close()
    code, report = call("lineage", "verify")
    assert (code, report["ok"], report["first_bad"]) == (1, False, 1)
    assert set(report) >= {"ok", "events", "root", "checkpoints", "first_bad"}
    code, out, _ = say("lineage", "verify")
    assert code == 1
    assert "NOT whole" in out


def test_a_reviewer_verifies_a_copy_with_the_public_key_alone(
    call, recorded, home, tmp_path, monkeypatch
):
    copy = tmp_path / "copy.db"
    with sqlite3.connect(home.lineage_path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    key, witness = tmp_path / "lineage.pub", tmp_path / "checkpoint"
    key.write_bytes((home.keys_dir / "lineage.pub").read_bytes())
    witness.write_bytes(home.witness_path.read_bytes())
    code, proof = call("lineage", "prove", "exec-1")
    assert code == 0
    (tmp_path / "proof.json").write_text(json.dumps(proof))
    proof["proofs"][0]["header"] = proof["proofs"][0]["header"].replace("ann", "bob")
    (tmp_path / "forged.json").write_text(json.dumps(proof))

    monkeypatch.setenv("CLOISTER_HOME", str(tmp_path / "reviewer"))
    code, report = call("lineage", "verify", copy, "--key", key, "--witness", witness)
    assert (code, report["ok"], report["events"]) == (0, True, 2)
    assert call("lineage", "verify", copy)[0] == 1, "the reviewer's own key did not sign this"
    assert call("lineage", "verify", tmp_path / "proof.json", "--key", key)[1]["events"] == 2
    code, report = call("lineage", "verify", tmp_path / "forged.json", "--key", key)
    assert (code, report["first_bad"]) == (1, 0)
    assert call("lineage", "verify", witness, "--key", key)[0] == 2


def test_policy_check_names_file_line_and_column(say, call, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 1\nsandbx: required\n")
    assert say("policy", "check", bad)[:2] == (
        1, f"{bad}:2:1: there is no setting sandbx; did you mean sandbox?\n",
    )  # fmt: skip
    code, report = call("policy", "check", bad)
    assert (code, report["ok"], report["problems"][0]["line"]) == (1, False, 2)
    code, error = call("policy", "check", tmp_path / "none.yaml")
    assert (code, error["error"]["code"]) == (2, "CLO-POLICY-002")
    good = tmp_path / "good.yaml"
    good.write_text(HOST_RULE)
    assert say("policy", "check", good)[0] == 0


def test_policy_apply_is_recorded_and_kept(call, home, tmp_path):
    (tmp_path / "new.yaml").write_text(HOST_RULE)
    code, live = call("policy", "apply", "new.yaml")
    assert (code, live["name"]) == (0, "lab")
    code, history = call("policy", "history")
    assert [v["live"] for v in history] == [True, False]
    assert call("policy", "show")[1]["policy"]["name"] == "lab"
    from cloister.store.lineage_reader import LineageReader

    (entry,) = LineageReader(home).entries()
    assert (entry.type, entry.body["policy_digest"]) == ("policy.applied", live["digest"])
    assert entry.body["user"] == "ann"
    (tmp_path / "new.yaml").write_text("version: 3\n")
    code, error = call("policy", "apply", "new.yaml")
    assert code == 1
    assert error["error"]["problems"][0]["line"] == 1
    assert call("policy", "show")[1]["policy"]["name"] == "lab"


def test_an_invalid_live_policy_can_be_repaired(call, home, tmp_path):
    ensure_home(home)
    home.policy_path.write_text("nonsense")
    assert call("policy", "show")[0] == 1
    (tmp_path / "new.yaml").write_text(HOST_RULE)
    assert call("policy", "apply", "new.yaml")[0] == 0


def test_policy_explain_names_the_rule(call, tmp_path):
    code, no = call("policy", "explain", "--host", "evil.example")
    assert code == 1
    assert (no["decision"], no["rule"]) == ("block", "egress.default")
    assert set(no) == {"decision", "rule", "reason", "remedy", "obligations"}
    code, masked = call("policy", "explain", "--entity", "US_SSN")
    assert (code, masked["decision"], masked["rule"]) == (0, "mask", "display.restricted")
    assert "columns[0]" in call("policy", "explain", "--column", "MRN")[1]["reason"]
    assert call("policy", "explain", "--level", "public")[1]["decision"] == "allow"
    assert call("policy", "explain", "--column", "x", "--host", "y")[0] == 2
    (tmp_path / "new.yaml").write_text(HOST_RULE)
    call("policy", "apply", "new.yaml")
    assert call("policy", "explain", "--host", "hub.example.net")[1]["rule"] == "egress.allow[0]"


def test_catalog_commands(call, say, tmp_path):
    (tmp_path / "p.csv").write_text("a\n1\n")
    code, added = call("catalog", "add", "patients", "p.csv", "--purpose", "care")
    assert (code, added["path"], added["files"]) == (0, str(tmp_path / "p.csv"), 1)
    code, labelled = call("catalog", "label", "patients", "a", "restricted", "--entity", "US_SSN")
    declared = labelled["labels"]["a"]
    assert (declared["level"], declared["entity_type"]) == ("restricted", "US_SSN")
    assert [d["name"] for d in call("catalog", "list")[1]] == ["patients"]
    assert "US_SSN" in say("catalog", "show", "patients")[1]
    assert call("catalog", "add", "patients", "q.csv")[0] == 2
    assert call("catalog", "label", "patients", "a", "secret")[0] == 2
    assert call("catalog", "remove", "patients")[0] == 0
    code, error = call("catalog", "show", "patients")
    assert (code, error["error"]["code"]) == (2, "CLO-CATALOG-002")


def test_budget_show_and_set(call, say):
    assert call("budget", "show") == (0, [])
    code, rows = call("budget", "set", "patients", "--epsilon", "0.5", "--delta", "1e-6")
    assert code == 0
    assert rows == [
        {"dataset": "patients", "epsilon_limit": 0.5, "epsilon_spent": 0.0,
         "epsilon_reserved": 0.0, "delta_limit": 1e-6, "delta_spent": 0.0}
    ]  # fmt: skip
    assert call("budget", "show", "patients")[1] == rows
    assert call("budget", "show")[1] == rows
    assert call("budget", "show", "other")[1][0]["epsilon_limit"] == 3.0
    assert call("budget", "set", "patients", "--epsilon", "nan", "--delta", "0")[0] == 2
    assert "epsilon limit" in say("budget", "show")[1]


def test_nothing_changes_while_the_record_cannot_be_written(call, home, tmp_path):
    ensure_home(home)
    home.lineage_path.write_bytes(b"not a database" * 100)
    (tmp_path / "new.yaml").write_text(HOST_RULE)
    for command in (
        ("policy", "apply", "new.yaml"),
        ("catalog", "add", "d", "x.csv"),
        ("budget", "set", "d", "--epsilon", "1", "--delta", "0"),
    ):
        code, error = call(*command)
        assert (code, error["error"]["code"]) == (1, "CLO-STORE-002")
    assert call("policy", "show")[1]["name"] == "default"
    assert call("catalog", "list") == (0, [])


def test_keys_status(call, say, home):
    code, status = call("keys", "status")
    assert code == 0
    assert all(key["ok"] for key in status["keys"])
    secret = (home.keys_dir / "workspace.key").read_text().split("+")[-1].strip()
    assert secret not in json.dumps(status)
    (home.keys_dir / "lineage.pub").write_text("x")
    code, status = call("keys", "status")
    assert (code, [key["ok"] for key in status["keys"]]) == (1, [True, True, False])
    (home.keys_dir / "workspace.key").chmod(0o644)
    code, out, _ = say("keys", "status")
    assert code == 1
    assert "NO" in out


def test_doctor_says_what_holds_and_what_does_not(call, home):
    code, report = call("doctor")
    by_id = {g["id"]: g for g in report["guarantees"]}
    assert report["mode"] == "guard"
    assert list(by_id) == ["sandbox", "files", "network", "processes", "system-calls", "rights",
                           "names", "environment", "gpu", "resources", "home-private", "policy",
                           "record", "witness", "record-rollback", "record-forgery",
                           "record-backdating", "keys", "retention", "kernelspec",
                           "lab-extension", "terminals",
                           "other-kernels", "identity", "account"]  # fmt: skip
    assert all(set(g) == {"id", "holds", "why", "fix"} for g in report["guarantees"])
    for name in ("home-private", "policy", "record"):
        assert by_id[name]["holds"], by_id[name]
    assert not by_id["identity"]["holds"], "the user's own word is no proof"
    assert code == (0 if all(g["holds"] for g in report["guarantees"]) else 1)
    home.policy_path.write_text("version: 1\nmode: enclave\nserver: {terminals: true}\n")
    report = call("doctor")[1]
    assert report["mode"] == "enclave"
    assert not {g["id"]: g for g in report["guarantees"]}["terminals"]["holds"]
    home.policy_path.write_text("version: 1\nidentity: {from_environment: false}\n")
    assert {g["id"]: g for g in call("doctor")[1]["guarantees"]}["identity"]["holds"]


def test_doctor_reports_each_guarantee_that_is_broken(call, home):
    def broken():
        code, report = call("doctor")
        assert code == 1
        return {g["id"] for g in report["guarantees"] if not g["holds"]}

    ensure_home(home)
    usual = broken()
    home.policy_path.write_text("nonsense")
    assert "policy" in broken() - usual
    home.policy_path.write_text("version: 1\n")
    home.lineage_path.write_bytes(b"x" * 9000)
    assert broken() - usual == {"record"}
    home.lineage_path.unlink()
    (home.keys_dir / "workspace.key").chmod(0o644)
    assert broken() - usual == {"home-private", "record"}
    (home.keys_dir / "workspace.key").chmod(0o600)
    home.root.chmod(0o755)
    assert "home-private" in broken()


def test_doctor_sees_a_kernelspec_that_goes_around_the_guard(call, tmp_path, monkeypatch):
    def kernelspec():
        report = call("doctor")[1]
        return next(g for g in report["guarantees"] if g["id"] == "kernelspec")

    data = tmp_path / "jupyter"
    monkeypatch.setenv("JUPYTER_PATH", str(data))
    spec = data / "kernels" / "cloister"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        json.dumps({"argv": [sys.executable], "display_name": "x", "language": "python"})
    )
    assert not kernelspec()["holds"]
    assert "unguarded" in kernelspec()["why"]


def test_usage_errors_are_two_and_json_when_asked(call, say):
    code, error = call("budget", "set")
    assert (code, error["error"]["code"]) == (2, "CLO-INPUT-001")
    assert call("no-such-command")[0] == 2
    code, out, err = say("lineage", "list", "--limit", "0")
    assert (code, out) == (2, "")
    assert "limit" in err


def test_other_accounts_in_the_home_stop_every_command(call, home):
    ensure_home(home)
    home.root.chmod(0o755)
    for command in (("init",), ("policy", "show"), ("lineage", "list"), ("budget", "show")):
        code, error = call(*command)
        assert (code, error["error"]["code"]) == (1, "CLO-HOME-001")


def test_unexpected_errors_show_no_text_of_theirs(call, monkeypatch):
    import cloister.cli.budget as module

    def leak(home):
        raise RuntimeError("078-05-1120")

    monkeypatch.setattr(module, "BudgetLedger", leak)
    code, error = call("budget", "show")
    assert code == 1
    assert "078-05-1120" not in json.dumps(error)
    assert "RuntimeError" in error["error"]["message"]


def program(*arguments, **environ):
    return subprocess.run(
        [sys.executable, "-c", "from cloister.cli.main import main; main()", *arguments],
        capture_output=True, text=True, env={**os.environ, **environ}, timeout=120,
    )  # fmt: skip


def test_help_imports_no_command(home):
    code = (
        "import sys\n"
        "from cloister.cli.main import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = {'cryptography', 'yaml', 'jsonschema', 'rich', 'sqlite3', 'pyarrow', 'numpy'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for name in ("init", "doctor", "lab", "classify", "mask", "catalog", "policy", "lineage",
                 "budget", "keys"):  # fmt: skip
        assert f"  {name} " in done.stdout


def test_program_keeps_json_and_logs_apart(home):
    done = program("catalog", "add", "d", "nowhere.csv", "--json", CLOISTER_HOME=str(home.root))
    assert done.returncode == 0
    assert json.loads(done.stdout)["name"] == "d"
    assert "Nothing is at" in done.stderr


def test_text_for_people_is_clean_outside_a_terminal(home, recorded):
    done = program("lineage", "list", CLOISTER_HOME=str(home.root))
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "exec-1" in done.stdout.splitlines()[1]


def test_works_as_jupyter_subcommand(home):
    command = Path(sys.executable).with_name("jupyter-cloister")
    if not command.exists():
        pytest.skip("the console scripts of this checkout are not installed")
    done = subprocess.run(
        [Path(sys.executable).with_name("jupyter"), "cloister", "keys", "status", "--json"],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "CLOISTER_HOME": str(home.root)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["keys"]


def test_lab_hands_over_to_jupyterlab(home):
    pytest.importorskip("jupyterlab")
    done = program("lab", "--version", CLOISTER_HOME=str(home.root))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()[0].isdigit()


def test_lab_does_not_start_on_settings_that_a_kernel_may_have_written(tmp_path, monkeypatch):
    (tmp_path / "jupyter_server_config.py").write_text("raise SystemExit('ran outside')\n")
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [Path(sys.executable).with_name("cloister"), "lab", "--version"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CLOISTER_HOME": str(tmp_path / "home")},
    )
    assert done.returncode in {1, 2}
    assert "CLO-SETUP-002" in done.stderr
    assert "ran outside" not in done.stdout + done.stderr
