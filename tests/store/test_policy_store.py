"""The policy reader: exact places of problems, no fallback, a cache that changes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cloister.core.errors import PolicyInvalid
from cloister.core.policy import SandboxMode
from cloister.store.home import Home, ensure_home
from cloister.store.policy import apply_policy, check_policy, load_policy, policy_history


@pytest.fixture
def home(tmp_path):
    return ensure_home(Home(tmp_path / "home"))


def problems(tmp_path, text):
    path = tmp_path / "candidate.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return check_policy(path)


def test_default_policy_is_valid_and_requires_the_sandbox(home):
    policy = load_policy(home)
    assert policy.sandbox is SandboxMode.REQUIRED
    assert policy.budget_for("anything").epsilon == 3.0


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("", 1, 1, "empty"),
        ("- 1\n", 1, 1, "mapping"),
        ("version: 1\nname: [\n", 3, 1, "not YAML"),
        ("version: 1\n\tname: x\n", 2, 1, "not YAML"),
        ("version: 1\nsandbx: required\n", 2, 1, "did you mean sandbox?"),
        ("version: 1\nsandbox: requird\n", 2, 1, "did you mean required?"),
        ("version: 1\ndisplay:\n  public: show\n  public: token\n", 4, 3, "set twice"),
        ("version: 2\n", 1, 1, "must be 1"),
        ("name: x\n", 1, 1, "version is missing"),
        ("version: 1\nbudgets: {default: {epsilon: .inf, delta: 1.0e-5}}\n", 2, 21, "finite"),
        ("version: 1\nbudgets: {default: {epsilon: .nan, delta: 1.0e-5}}\n", 2, 21, "finite"),
        ("version: 1\nbudgets: {default: {epsilon: 1.0, delta: 1e-5}}\n", 2, 35, "1.0e-5"),
        ("version: 1\negress:\n  allow:\n    - {host: 'a b'}\n", 4, 8, "right form"),
        ("version: 1\negress:\n  allow:\n    - {host: a, ports: [0]}\n", 4, 25, "at least 1"),
        ("version: 1\nentities: {us_ssn: public}\n", 2, 12, "name of an entity type"),
        ("version: 1\non: 1\n", 2, 1, "must be text"),
        ("version: 1\n? [a]\n: 1\n", 2, 3, "must be text"),
        ("version: 1\nname: 2020-13-45\n", 1, 1, "quotes"),
        ("version: 1\n---\nversion: 1\n", 2, 1, "single document"),
        ("version: 1\nname: !!python/object/apply:os.getpid []\n", 2, 7, "not YAML"),
        (b"version: 1\nname: \xff\n", 2, 7, "UTF-8"),
        (b"version: 1\nname: \x00\n", 2, 7, "character"),
        ("base: &b {public: show}\nversion: 1\ndisplay: {<<: *b}\n", 3, 11, "merge"),
    ],
)
def test_problem_names_its_line_and_what_was_meant(tmp_path, text, line, column, says):
    found = problems(tmp_path, text)
    assert any((p.line, p.column) == (line, column) and says in p.message for p in found), found


def test_aliases_cannot_unfold_without_end(tmp_path):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for i in range(1, 12):
        bomb += f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n"
    assert "too large" in problems(tmp_path, bomb)[0].message
    assert "too large" in problems(tmp_path, "version: &v [*v]\n")[0].message


def test_missing_and_unreadable_policies_refuse(home, tmp_path):
    home.policy_path.unlink()
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(home)
    assert caught.value.problems[0].message == "the file does not exist"
    assert ensure_home(home).policy_path.exists() is False, "a lost policy is never replaced"
    home.policy_path.mkdir()
    with pytest.raises(PolicyInvalid):
        load_policy(home)


def test_cached_policy_needs_neither_yaml_nor_jsonschema(home):
    first = load_policy(home)
    code = (
        "import sys, pathlib\n"
        "from cloister.store.home import Home\n"
        "from cloister.store.policy import load_policy\n"
        f"p = load_policy(Home(pathlib.Path({str(home.root)!r})))\n"
        "assert not {'yaml', 'jsonschema'} & set(sys.modules)\n"
        "print(p.digest)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == first.digest
    assert home.policy_cache.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"key": 1}', b"\xff\xfe", b"null"])
def test_damaged_cache_is_compiled_again(home, damage):
    first = load_policy(home)
    home.policy_cache.write_bytes(damage)
    assert load_policy(home) == first
    assert json.loads(home.policy_cache.read_bytes())["data"]["version"] == 1


def test_cache_never_outlives_the_file(home):
    load_policy(home)
    home.policy_path.write_text("version: 1\nsandbox: optional\n")
    assert load_policy(home).sandbox is SandboxMode.OPTIONAL
    home.policy_path.write_text("version: 1\nsandbox: never\n")
    with pytest.raises(PolicyInvalid):
        load_policy(home)


def test_apply_keeps_versions_and_refuses_what_is_invalid(home, tmp_path):
    candidate = tmp_path / "new.yaml"
    candidate.write_text("version: 1\nname: second\n")
    seen = []
    apply_policy(
        home, candidate, before_live=lambda p: seen.append((p.name, load_policy(home).name))
    )
    assert seen == [("second", "default")]
    assert load_policy(home).name == "second"
    candidate.write_text("version: 1\nnme: third\n")
    with pytest.raises(PolicyInvalid):
        apply_policy(home, candidate)
    assert load_policy(home).name == "second"
    history = policy_history(home)
    assert [(v.seq, v.live) for v in history] == [(2, True), (1, False)]
    apply_policy(home, history[1].path)
    assert load_policy(home).name == "default"
    assert [(v.seq, v.live) for v in policy_history(home)] == [(3, True), (2, False), (1, False)]


def test_policy_stays_when_the_change_cannot_be_recorded(home, tmp_path):
    candidate = tmp_path / "new.yaml"
    candidate.write_text("version: 1\nname: second\n")

    def refuse(policy):
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - exactly what refuse() raised
        apply_policy(home, candidate, before_live=refuse)
    assert load_policy(home).name == "default"


def test_hand_edited_policy_shows_in_history(home):
    home.policy_path.write_text("version: 1\nname: by hand\n")
    newest = policy_history(home)[0]
    assert newest.live
    assert newest.path == Path(os.fspath(home.policy_path))
