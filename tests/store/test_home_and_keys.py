"""The home is private and made once; keys are made once and never replaced."""

import hashlib
import hmac
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cloister.core.errors import CloisterError
from cloister.core.policy import policy_from_dict
from cloister.store.home import Home, check_private, ensure_home, locate_home
from cloister.store.identity import IdentitySource, current_identity, current_roles, current_user
from cloister.store.keys import derive_key, open_keyring, parse_verifier
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


@pytest.fixture
def home(tmp_path):
    return ensure_home(Home(tmp_path / "home"))


def test_home_is_located_from_the_environment(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert locate_home({"CLOISTER_HOME": str(tmp_path / "link")}).root == tmp_path / "real"
    monkeypatch.chdir(tmp_path)
    assert locate_home({"CLOISTER_HOME": "real"}).root == tmp_path / "real"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert locate_home({"CLOISTER_HOME": ""}).root == tmp_path / "state" / "cloister"


def test_everything_in_a_new_home_is_private(home):
    old = os.umask(0)
    try:
        ensure_home(home)
    finally:
        os.umask(old)
    for path in (home.root, *home.root.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701, 0o770])
def test_home_that_others_reach_is_refused(home, mode):
    home.root.chmod(mode)
    with pytest.raises(CloisterError) as caught:
        ensure_home(home)
    assert caught.value.code == "CLO-HOME-001"
    assert str(home.root) not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_home_of_another_account_is_refused(home):
    os.chown(home.root, 12345, -1)
    with pytest.raises(CloisterError, match="another account"):
        ensure_home(home)


def test_home_that_is_a_file_or_missing_is_refused(tmp_path):
    with pytest.raises(CloisterError) as caught:
        check_private(Home(tmp_path / "nowhere"))
    assert caught.value.code == "CLO-HOME-003"
    (tmp_path / "file").write_text("x")
    with pytest.raises(CloisterError):
        ensure_home(Home(tmp_path / "file"))
    with pytest.raises(CloisterError) as caught:
        ensure_home(Home(tmp_path / "file" / "below"))
    assert caught.value.code == "CLO-HOME-002"


def _ensure(root, results):
    home = ensure_home(Home(Path(root)))
    results.put(
        (
            home.policy_path.read_bytes(),
            open_keyring(home).token_key,
            open_keyring(home).verifier_line,
        )
    )


def test_racing_processes_agree_on_one_home(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [
        context.Process(target=_ensure, args=(str(tmp_path / "h"), results)) for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    assert len({results.get(timeout=60) for _ in workers}) == 1
    for worker in workers:
        worker.join(10)
        assert worker.exitcode == 0


def test_interrupted_set_up_is_finished_and_keeps_what_is_there(home):
    key = open_keyring(home).token_key
    home.marker_path.unlink()
    home.policy_path.write_text("version: 1\nname: mine\n")
    (home.keys_dir / "lineage.pub").unlink()
    ensure_home(home)
    assert open_keyring(home).token_key == key
    assert "mine" in home.policy_path.read_text()
    assert parse_verifier((home.keys_dir / "lineage.pub").read_text())[0].startswith("cloister-")


def test_set_up_home_never_gets_new_keys(home):
    (home.keys_dir / "workspace.key").unlink()
    ensure_home(home)
    with pytest.raises(CloisterError) as caught:
        open_keyring(home)
    assert caught.value.code == "CLO-KEYS-001"


@pytest.mark.parametrize("name", ["workspace.key", "lineage.key"])
def test_key_that_is_damaged_or_readable_is_refused(home, name):
    path = home.keys_dir / name
    good = path.read_bytes()
    places = [0, 5, len(good) // 2, len(good) - 3]
    for bad in (b"", good[:-9], *(good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :] for i in places)):
        path.write_bytes(bad)
        with pytest.raises(CloisterError) as caught:
            open_keyring(home).signer.sign(b"")
        assert caught.value.code == "CLO-KEYS-002", bad
        assert path.read_bytes() == bad
    path.write_bytes(good)
    path.chmod(0o640)
    with pytest.raises(CloisterError) as caught:
        open_keyring(home)
    assert caught.value.code == "CLO-KEYS-003"
    path.chmod(0o600)
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))
    with pytest.raises(CloisterError):
        open_keyring(home)


def test_subkeys_are_hkdf_and_differ(home):
    secret = b"\x07" * 32
    reference = HKDF(hashes.SHA256(), 32, salt=None, info=b"cloister/token/v1").derive(secret)
    assert derive_key(secret, "token") == reference
    keyring = open_keyring(home)
    assert len({keyring.token_key, keyring.index_key, keyring.payload_key}) == 3
    for key in (keyring.token_key, keyring.index_key, keyring.payload_key):
        assert key.hex() not in repr(keyring)
    assert hmac.compare_digest(keyring.token_key, open_keyring(home).token_key)


def test_public_key_line_is_a_note_verifier(home):
    keyring = open_keyring(home)
    line = (home.keys_dir / "lineage.pub").read_text().strip()
    name, public = parse_verifier(line)
    assert (name, public) == (keyring.key_name, keyring.public_key_bytes)
    expected = hashlib.sha256(name.encode() + b"\n\x01" + public).hexdigest()[:8]
    assert line.split("+")[1] == expected
    with pytest.raises(CloisterError):
        parse_verifier(line.replace(expected, "00000000"))


def test_opening_a_home_imports_nothing_heavy(home):
    code = (
        "import os, sys\n"
        "from cloister.store.home import locate_home, ensure_home\n"
        "from cloister.store.keys import open_keyring\n"
        "open_keyring(ensure_home(locate_home(os.environ))).token_key\n"
        "heavy = {'cryptography', 'yaml', 'jsonschema', 'platformdirs', 'sqlite3', 'click',\n"
        "         'importlib.resources', 'numpy', 'pyarrow'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)\n"
    )
    environ = {**os.environ, "CLOISTER_HOME": str(home.root)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_identity_from_the_environment_only_where_the_policy_allows_it():
    open_policy = policy_from_dict({"version": 1}, "d")
    closed = policy_from_dict({"version": 1, "identity": {"from_environment": False}}, "d")
    environ = {"CLOISTER_USER": "ann", "CLOISTER_ROLES": "admin, reviewer,", "USER": "eve"}
    assert current_user(environ, open_policy) == "ann"
    assert current_roles(environ, open_policy) == {"admin", "reviewer"}
    assert current_identity(environ, closed).source is IdentitySource.OPERATING_SYSTEM
    assert current_user(environ, closed) not in {"ann", "eve"}
    assert current_roles(environ, closed) == {"analyst"}
    hub = {**environ, "JUPYTERHUB_USER": "hub"}
    assert current_user(hub, closed) == "hub"
    assert current_identity({"JUPYTERHUB_USER": "hub"}, open_policy).source is (
        IdentitySource.JUPYTERHUB
    )
