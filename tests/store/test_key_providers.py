"""Whoever holds the key above all keys: the same contract for each, and how each fails."""

import json
import subprocess
import sys
import time

import pytest
from cloister.core.errors import CloisterError, StoreUnavailable
from cloister.store.home import Home, ensure_home
from cloister.store.keyproviders.choice import provider_for
from cloister.store.keyproviders.pkcs11 import _sessions as pkcs11_sessions
from cloister.store.keys import open_keyring, parse_public
from cloister.store.keysettings import KeySettingsInvalid, parse_key_settings
from cloister.store.lineage import LineageLog
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_verify import verify_home
from cloister.store.rotation import Rotation
from lineage_records import SECRET, fill, intent
from provider_homes import PIN, SOFTHSM, RecordedVault, make_token, private

ACTOR = {"user": "ann", "attested_by": "cli"}


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    assert SOFTHSM, "SoftHSM is not installed: apt-get install softhsm2"
    return make_token(tmp_path_factory.mktemp("softhsm"))


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    pytest.importorskip("hvac")
    server = RecordedVault()
    file = private(tmp_path_factory.mktemp("vault") / "token", server.TOKEN)
    server.settings = f"provider: vault\nurl: {server.url}\nkey: cloister\ntoken_file: {file}\n"
    yield server
    server.close()


@pytest.fixture(scope="module")
def kms():
    """A KMS of moto's: AWS's API over HTTP, with real ciphertexts and encryption contexts."""
    pytest.importorskip("moto")
    import boto3
    from moto.server import ThreadedMotoServer

    patch = pytest.MonkeyPatch()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, "testing")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    key = boto3.client("kms", region_name="eu-central-1", endpoint_url=url).create_key()
    identifier = key["KeyMetadata"]["KeyId"]
    yield (f"provider: aws-kms\nkey_id: {identifier}\nregion: eu-central-1\nendpoint: {url}\n")
    server.stop()
    patch.undo()


@pytest.fixture
def passphrase(tmp_path):
    return f"provider: local\npassphrase_file: {private(tmp_path / 'phrase', 'correct horse')}\n"


@pytest.fixture(params=["local", "pkcs11", "vault", "aws-kms"])
def settings(request):
    named = {"local": "passphrase", "pkcs11": "token", "vault": "vault", "aws-kms": "kms"}
    found = request.getfixturevalue(named[request.param])
    return found if isinstance(found, str) else found.settings


def provider(settings):
    return provider_for(parse_key_settings(settings.encode()))


# --- the contract --------------------------------------------------------------------------------


def test_what_was_wrapped_opens_under_its_context_only(settings):
    held = provider(settings)
    secret = bytes(range(32))
    wrapped = held.wrap(secret, b"context")
    assert held.wrap(secret, b"context") != wrapped
    assert held.unwrap(wrapped, b"context") == secret
    assert provider(settings).unwrap(wrapped, b"context") == secret
    for bad, context in ((wrapped, b"other"), (_flipped(wrapped), b"context"), ("", b"context")):
        with pytest.raises(CloisterError) as caught:
            held.unwrap(bad, context)
        assert caught.value.code in {"CLO-KEYS-010", "CLO-KEYS-007"}
        assert secret.hex() not in str(caught.value)
    held.close()


def test_older_versions_of_the_key_open_after_it_was_rotated(settings):
    held = provider(settings)
    before = held.wrap(b"s" * 32, b"c")
    assert held.rotate()
    after = held.wrap(b"s" * 32, b"c")
    assert held.unwrap(before, b"c") == held.unwrap(after, b"c") == b"s" * 32
    held.close()


def test_a_workspace_moves_to_a_provider_and_back(home, settings):
    before = open_keyring(home)
    with LineageLog(home, before) as log:
        fill(log, 4)
        moved = Rotation(home, ACTOR).run(settings=settings.encode())
        log.append([intent("after the move")])
    assert moved.rewrapped == 4
    root = before.workspace_keys.root
    for file in ("workspace.key", "lineage.key"):
        content = (home.keys_dir / file).read_bytes()
        assert json.loads(content)["wrappings"][0]["by"] == provider(settings).name
        assert len(json.loads(content)["wrappings"]) == 1
        assert root.hex().encode() not in content
    assert home.key_settings_path.stat().st_mode & 0o777 == 0o600
    opened = open_keyring(home)
    assert opened.token_key == before.token_key
    assert_whole(home)
    Rotation(home, ACTOR).run(signing=True)
    assert_whole(home)
    if open_keyring(home).signing_keys.keys[0].seed is not None:
        Rotation(home, ACTOR).run(settings=b"")
        assert not home.key_settings_path.exists()
        assert_whole(home)


def assert_whole(home):
    keyring = open_keyring(home)
    report = verify_home(home, keyring)
    assert report.ok, report.problems
    with LineageReader(home, keyring) as reader:
        for entry in reader.entries():
            if entry.type == "cell.intent":
                assert reader.event(entry.seq).require_payload() == SECRET


def test_without_its_provider_nothing_opens(home, passphrase, tmp_path):
    Rotation(home, ACTOR).run(settings=passphrase.encode())
    kept = home.key_settings_path.read_bytes()
    home.key_settings_path.unlink()
    assert _refusal(home) == "CLO-KEYS-004"
    other = private(tmp_path / "other", "another phrase")
    private(home.key_settings_path, f"provider: local\npassphrase_file: {other}\n")
    assert _refusal(home) == "CLO-KEYS-010"
    private(home.key_settings_path, f"provider: local\npassphrase_file: {tmp_path / 'gone'}\n")
    assert _refusal(home) == "CLO-KEYS-006"
    other.chmod(0o644)
    private(home.key_settings_path, f"provider: local\npassphrase_file: {other}\n")
    assert _refusal(home) == "CLO-KEYS-006"
    home.key_settings_path.write_bytes(kept)
    open_keyring(home)


def test_settings_written_by_hand_refuse_until_the_keys_are_wrapped(home, passphrase):
    private(home.key_settings_path, passphrase)
    assert _refusal(home) == "CLO-KEYS-004"
    Rotation(home, ACTOR).run()
    assert json.loads((home.keys_dir / "workspace.key").read_bytes())["wrappings"]
    assert_whole(home)


@pytest.mark.parametrize("step", ["wrapped twice", "settings", "wrapped once"])
def test_a_move_that_stops_after_a_step_opens_and_is_finished(home, passphrase, step):
    with LineageLog(home, open_keyring(home)) as log:
        fill(log, 2)

    class Killed(Exception):
        pass

    def stop(name):
        if name == step:
            raise Killed

    with pytest.raises(Killed):
        Rotation(home, ACTOR, stop).run(settings=passphrase.encode())
    assert_whole(home)
    Rotation(home, ACTOR).run(settings=None if step != "wrapped twice" else passphrase.encode())
    for file in ("workspace.key", "lineage.key"):
        wrappings = json.loads((home.keys_dir / file).read_bytes())["wrappings"]
        assert [wrapping["by"] for wrapping in wrappings] == ["local"], "no key is left in clear"
    assert_whole(home)


def test_a_passphrase_is_changed(home, passphrase, tmp_path):
    Rotation(home, ACTOR).run(settings=passphrase.encode())
    new = f"provider: local\npassphrase_file: {private(tmp_path / 'new', 'battery staple')}\n"
    Rotation(home, ACTOR).run(settings=new.encode())
    private(tmp_path / "phrase", "no longer")
    assert_whole(home)


def test_another_workspace_of_the_same_provider_opens_nothing(home, tmp_path, settings):
    """Two workspaces under one KEK: key files do not open in each other's place."""
    other = ensure_home(Home(tmp_path / "other"))
    for place in (home, other):
        with LineageLog(place, open_keyring(place)) as log:
            fill(log, 2)
        Rotation(place, ACTOR).run(settings=settings.encode())
    ours, theirs = (json.loads((h.keys_dir / "workspace.key").read_bytes()) for h in (home, other))
    mixed = {**ours, "wrappings": theirs["wrappings"]}
    (home.keys_dir / "workspace.key").write_text(json.dumps(mixed))
    assert _refusal(home) in {"CLO-KEYS-010", "CLO-KEYS-007"}
    (home.keys_dir / "workspace.key").write_text(json.dumps({**mixed, "name": theirs["name"]}))
    assert _refusal(home) == "CLO-KEYS-002"
    (home.keys_dir / "workspace.key").write_text(json.dumps(theirs))
    with LineageReader(home, open_keyring(home)) as reader:
        reader._box._reload = None
        assert reader.event(0).payload_state.value == "damaged"


def test_every_byte_of_a_sealed_key_file_counts(home, passphrase):
    Rotation(home, ACTOR).run(settings=passphrase.encode())
    path = home.keys_dir / "lineage.key"
    good = path.read_bytes()
    for place in range(0, len(good) - 1, 97):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(CloisterError):
            open_keyring(home).signer.sign(b"")
    path.write_bytes(good)
    assert good.strip().startswith(b"{")


# --- a hardware module ---------------------------------------------------------------------------


def test_the_record_is_signed_inside_the_token(home, token):
    signing = token + "signing_key: record\n"
    with LineageLog(home, open_keyring(home)) as log:
        fill(log, 2)
        Rotation(home, ACTOR).run(settings=signing.encode())
        Rotation(home, ACTOR).run(signing=True)
        fill(log, 4)
    keyring = open_keyring(home)
    (key,) = keyring.signing_keys.keys
    assert (key.seed, key.label) == (None, "record")
    assert verify_home(home, keyring).ok
    assert parse_public((home.keys_dir / "lineage.pub").read_text()).public_key == key.public
    # The private halves never leave it.
    import pkcs11
    from pkcs11 import Attribute, ObjectClass

    session = keyring.provider._connect()
    for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY):
        for found in session.get_objects({Attribute.CLASS: kind}):
            assert found[Attribute.EXTRACTABLE] is False
            assert found[Attribute.SENSITIVE] is True
            with pytest.raises(pkcs11.PKCS11Error):
                found[Attribute.VALUE]
    with pytest.raises(CloisterError) as caught:  # it would be left behind
        Rotation(home, ACTOR).run(settings=b"")
    assert caught.value.code == "CLO-KEYS-011"
    Rotation(home, ACTOR).run(signing=True)
    assert open_keyring(home).signing_keys.keys[0].label == "record-2"
    assert verify_home(home, open_keyring(home)).ok


def test_nothing_is_recorded_when_the_token_is_gone(home, token):
    with LineageLog(home, open_keyring(home)) as log:
        fill(log, 2)
        Rotation(home, ACTOR).run(settings=(token + "signing_key: gone\n").encode())
        Rotation(home, ACTOR).run(signing=True)
        log.append([intent("signed in the token")])
        size = log.size
        place, (session, _) = next(iter(pkcs11_sessions.items()))
        session.close()  # as when it is pulled out
        del pkcs11_sessions[place]
        with pytest.raises(StoreUnavailable) as caught:
            log.append([intent("not signed")])
        assert caught.value.code == "CLO-KEYS-007"
    with LineageReader(home) as reader:
        assert reader.checkpoint().size == size


def test_another_process_opens_the_token(home, token):
    Rotation(home, ACTOR).run(settings=token.encode())
    code = (
        "import sys; from pathlib import Path\n"
        "from cloister.store.home import Home\n"
        "from cloister.store.keys import open_keyring\n"
        "print(open_keyring(Home(Path(sys.argv[1]))).verifier_line)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home.root)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == open_keyring(home).verifier_line


@pytest.mark.parametrize(
    "change", [("token: cloister", "token: nobody"), ("module: ", "module: /nowhere")]
)
def test_a_token_that_is_not_there(home, token, change):
    Rotation(home, ACTOR).run(settings=token.encode())
    private(home.key_settings_path, token.replace(*change))
    assert _refusal(home) == "CLO-KEYS-008"


def test_a_wrong_pin_is_refused_and_not_told(home, token, tmp_path):
    Rotation(home, ACTOR).run(settings=token.encode())
    open_keyring(home).provider.close()
    wrong = private(tmp_path / "wrong", "999999")
    line = next(line for line in token.splitlines() if line.startswith("pin_file"))
    held = provider(token.replace(line, f"pin_file: {wrong}"))
    with pytest.raises(CloisterError) as caught:
        held.wrap(b"s" * 32, b"c")
    assert caught.value.code == "CLO-KEYS-007"
    for secret in ("999999", PIN):
        assert secret not in str(caught.value)


# --- Vault ---------------------------------------------------------------------------------------


def test_vault_is_asked_as_its_documentation_says(vault):
    held = provider(vault.settings + "namespace: team\n")
    vault.requests.clear()
    wrapped = held.wrap(b"k" * 32, b"where")
    held.unwrap(wrapped, b"where")
    held.rotate()
    assert [path for path, _, _ in vault.requests] == [
        "/v1/transit/encrypt/cloister",
        "/v1/transit/decrypt/cloister",
        "/v1/transit/keys/cloister/rotate",
    ]
    encrypt, decrypt, _ = vault.requests
    assert set(encrypt[2]) == {"plaintext", "associated_data"}
    assert decrypt[2]["ciphertext"] == wrapped
    assert wrapped.startswith("vault:v")
    assert encrypt[1]["X-Vault-Namespace"] == "team"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "CLO-KEYS-010"), (403, "CLO-KEYS-007"), (404, "CLO-KEYS-007"), (429, "CLO-KEYS-008"),
        (500, "CLO-KEYS-008"), (502, "CLO-KEYS-008"), (503, "CLO-KEYS-008"), (307, "CLO-KEYS-007"),
    ],
)  # fmt: skip
def test_vault_that_does_not_answer_with_a_key(vault, status, code):
    held = provider(vault.settings)
    vault.status = status
    try:
        with pytest.raises(CloisterError) as caught:
            held.wrap(b"k" * 32, b"where")
    finally:
        vault.status = None
    assert caught.value.code == code
    assert "secret" not in str(caught.value)


def test_vault_out_of_reach_is_told_in_seconds(vault, home):
    Rotation(home, ACTOR).run(settings=vault.settings.encode())
    gone = vault.settings.replace(vault.url, "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(CloisterError) as caught:
        provider(gone).wrap(b"k" * 32, b"c")
    assert caught.value.code == "CLO-KEYS-008"
    assert time.monotonic() - started < 10


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a",
        "provider: nobody\n",
        "provider: local\n",
        "provider: local\npassphrase_file: /a\npassphrase_env: B\n",
        "provider: local\npassphrase_file: /a\nmore: x\n",
        "provider: local\npassphrase: correct horse\n",
        "provider: pkcs11\nmodule: m\ntoken: t\npin_env: P\n",
        "provider: vault\nurl: http://vault.example\nkey: k\ntoken_env: T\n",
        "provider: vault\nurl: http://127.0.0.1.example.org\nkey: k\ntoken_env: T\n",
        "provider: vault\nurl: https://user:pass@vault.example\nkey: k\ntoken_env: T\n",
        "provider: vault\nurl: https://vault.example\nkey: k\ntoken_env: 3\n",
        "provider: aws-kms\nkey_id: k\n",
        "provider: [local]\n",
        "a: !!python/object/apply:os.system [x]\n",
    ],
)
def test_settings_that_say_something_unknown_are_refused(text):
    with pytest.raises(KeySettingsInvalid) as caught:
        parse_key_settings(text.encode())
    assert caught.value.code == "CLO-KEYS-005"
    assert "correct horse" not in str(caught.value)


def test_settings_that_others_can_read_are_refused(home, passphrase):
    private(home.key_settings_path, passphrase).chmod(0o644)
    assert _refusal(home) == "CLO-KEYS-005"


def _refusal(home):
    with pytest.raises(CloisterError) as caught:
        open_keyring(home)
    return caught.value.code


def _flipped(wrapped):
    place = len(wrapped) * 2 // 3
    return wrapped[:place] + ("A" if wrapped[place] != "A" else "B") + wrapped[place + 1 :]
