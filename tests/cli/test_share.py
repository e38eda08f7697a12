"""``cloister share``: what is taken out, what stays byte for byte, and whom a receipt convinces."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from cloister.cli.main import run
from cloister.detect.exact import ExactIndex
from cloister.store import receipt_verifier as verifier
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SSN = "512-34-6789"
NAME = "Torvald Quisling-Abara"


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = ensure_home(Home(tmp_path / "home"))
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))
    monkeypatch.chdir(tmp_path)
    key = open_keyring(home).index_key
    index = ExactIndex(key)
    index.add("PERSON", [NAME])
    index.save(home.index_dir / "known.idx")
    return home


@pytest.fixture
def key(home):
    return open_keyring(home).verifier_line


def stream(text):
    return {"output_type": "stream", "name": "stdout", "text": text}


def cell(source="1 + 1", *outputs, **more):
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {},
        "outputs": list(outputs),
        "execution_count": 1,
        **more,
    }


def notebook(*cells, **more):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 4, **more}


def share(*arguments, capsys=None):
    code = run(["share", *map(str, arguments)])
    return code, (json.loads(capsys.readouterr().out) if capsys else None)


def write(path, document, **style):
    path.write_bytes(json.dumps(document, **{"indent": 1, **style}).encode())
    return path


def test_only_the_offending_output_goes_and_the_rest_stays_byte_for_byte(home, tmp_path, capsys):
    offending = '{"text":  "ssn 512-34-6789\\n", "output_type":"stream","name":"stdout"}'
    text = (
        '{ "nbformat_minor":4,\r\n\t"cells": [ {"source":["a\\u00e9 é \\/"],"outputs": [\r\n'
        '  {"output_type":"stream","name":"stdout","text":"one"} ,%s ,\r\n'
        '  {"output_type":"stream","name":"stdout","text":"two"}],'
        '"metadata":{ },"execution_count":1e0,"cell_type":"code"}],"metadata":{},"nbformat":4}\n\n'
    )
    source = tmp_path / "odd.ipynb"
    source.write_bytes((text % offending).encode())
    code, told = share("odd.ipynb", "-o", "out.ipynb", "--json", capsys=capsys)
    assert code == 0
    assert [(r["cell"], r["number"], r["part"]) for r in told["stripped"]] == [(1, 2, "output")]
    kept = (tmp_path / "out.ipynb").read_bytes()
    assert kept == (text % "").replace(" , ,", " ,").encode()
    assert json.loads(kept)
    assert SSN not in json.dumps(told)


def test_a_clean_notebook_is_copied_to_the_byte_and_its_receipt_holds(home, tmp_path, key):
    source = write(tmp_path / "n.ipynb", notebook(cell("1", stream("fine"))), indent=3)
    assert share("n.ipynb")[0] == 0
    copy = tmp_path / "n.shared.ipynb"
    assert copy.read_bytes() == source.read_bytes()
    assert share("n.shared.ipynb", "--verify", "--key", key)[0] == 0
    facts = verifier.verify_receipt(
        copy.read_bytes(), Path(f"{copy}.receipt.json").read_bytes(), key
    )
    assert facts["sha256"] == hashlib.sha256(copy.read_bytes()).hexdigest()
    assert facts["known_values"] > 0


def png(kind, body):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", 0)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(kind, body) + chunk(b"IEND", b"")


def picture(data):
    encoded = base64.encodebytes(data).decode()
    return {"output_type": "display_data", "metadata": {}, "data": {"image/png": encoded}}


DISPLAY = {"output_type": "display_data", "metadata": {}}
HIDDEN = {
    "stream lines": cell("x", stream(["ssn 512-", "34-6789\n"])),
    "two streams": cell("x", stream("ssn 512-34"), stream("-6789\n")),
    "known name": cell("x", stream(f"hello {NAME}\n")),
    "name in keys": cell("x", {**DISPLAY, "data": {"application/json": {NAME: 1}}}),
    "name in parts": cell(
        "x", {**DISPLAY, "data": {"application/json": {"a": "Torvald", "b": "Quisling-Abara"}}}
    ),
    "unknown type": cell("x", {**DISPLAY, "data": {"x/y": f"ssn {SSN}"}}),
    "deep": cell("x", {**DISPLAY, "data": {"application/json": [[[[{"a": [f"{SSN}"]}]]]]}}),
    "output metadata": cell("x", {**DISPLAY, "data": {}, "metadata": {"t": f"ssn {SSN}"}}),
    "error": cell(
        "x", {"output_type": "error", "ename": "E", "evalue": SSN, "traceback": ["\x1b[0m", SSN]}
    ),
    "colours": cell("x", stream("ssn 512-\x1b[31m34-67\x1b[0m89\n")),
    "html": cell("x", {**DISPLAY, "data": {"text/html": ["<td>512-34", "-6789</td>"]}}),
    "svg": cell("x", {**DISPLAY, "data": {"image/svg+xml": f"<svg><text>{SSN}</text></svg>"}}),
    "encoded": cell("x", stream(base64.b64encode(f"name: {NAME}".encode()).decode())),
    "png text": cell("x", picture(png(b"tEXt", b"Comment\0ssn 512-34-6789"))),
    "png packed": cell("x", picture(png(b"zTXt", b"C\0\0" + zlib.compress(b"ssn 512-34-6789")))),
    "png after the end": cell("x", picture(png(b"tIME", b"1234567") + b"ssn 512-34-6789")),
    "attachment": cell("x", attachments={f"{SSN}.png": {"image/png": "AAAA"}}),
    "cell metadata": cell("x", metadata={"tags": ["ok"], "note": f"ssn {SSN}"}),
    "unknown cell key": cell("x", extra={"a": f"ssn {SSN}"}),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_values_are_found_wherever_they_hide_and_taken_out(home, tmp_path, capsys, name):
    write(tmp_path / "n.ipynb", notebook(HIDDEN[name], cell("kept", stream("kept\n"))))
    assert share("n.ipynb", "--check", "--json", capsys=capsys)[0] == 1
    code, told = share("n.ipynb", "--json", capsys=capsys)
    assert code == 0
    assert told["stripped"]
    shared = json.loads((tmp_path / "n.shared.ipynb").read_text())
    assert shared["cells"][1] == cell("kept", stream("kept\n"))
    assert shared["cells"][0]["source"] == "x"
    assert share("n.shared.ipynb", "--check", "--json", capsys=capsys)[0] == 0


def test_a_value_over_the_outputs_of_two_cells_is_found(home, tmp_path, capsys):
    cells = (cell("a", stream("Torvald\n")), cell("b", stream("Quisling-Abara\n")))
    write(tmp_path / "n.ipynb", notebook(*cells))
    code, told = share("n.ipynb", "--json", capsys=capsys)
    assert code == 0
    assert {r["cell"] for r in told["stripped"]} == {1, 2}


def test_widget_state_goes_as_a_whole(home, tmp_path, capsys):
    state = {"application/vnd.jupyter.widget-state+json": {"state": {"m": {"value": NAME}}}}
    body = notebook(cell(), metadata={"widgets": state, "kernelspec": {"name": "cloister"}})
    write(tmp_path / "n.ipynb", body)
    assert share("n.ipynb", "--json", capsys=capsys)[0] == 0
    shared = json.loads((tmp_path / "n.shared.ipynb").read_text())
    assert shared["metadata"] == {"kernelspec": {"name": "cloister"}}


@pytest.mark.parametrize("version", [2, 3])
def test_old_formats_are_read_too(home, tmp_path, capsys, version):
    out = {"output_type": "pyout", "text": [f"ssn {SSN}"], "prompt_number": 1}
    old = {"cell_type": "code", "input": ["x"], "outputs": [out], "language": "python"}
    body = {"worksheets": [{"cells": [old]}], "metadata": {}, "nbformat": version}
    write(tmp_path / "n.ipynb", body)
    assert share("n.ipynb", "--json", capsys=capsys)[0] == 0
    shared = json.loads((tmp_path / "n.shared.ipynb").read_text())
    assert shared["worksheets"][0]["cells"][0] == {**old, "outputs": []}


@pytest.mark.parametrize("bad", [cell(f"ssn = '{SSN}'"), cell("1", id=f"x {SSN}")])
def test_what_the_author_wrote_is_told_and_never_changed(home, tmp_path, capsys, bad):
    write(tmp_path / "n.ipynb", notebook(bad))
    code, told = share("n.ipynb", "--json", capsys=capsys)
    assert code == 1
    assert told["shared"] is False
    assert SSN not in json.dumps(told)
    assert not (tmp_path / "n.shared.ipynb").exists()


def test_the_name_of_a_notebook_counts(home, tmp_path):
    write(tmp_path / f"{SSN}.ipynb", notebook(cell()))
    assert share(f"{SSN}.ipynb", "--check")[0] == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"cells": [], "cells": [], "nbformat": 4}',
        '{"cells": [], "nbformat": 4} {}',
        '{"cells": [NaN], "nbformat": 4}',
        '{"cells": ' + "[" * 300 + "]" * 300 + "}",
        "not json",
        '{"a": 1}',
        "",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(home, tmp_path, capsys, text):
    (tmp_path / "n.ipynb").write_text(text)
    code, told = share("n.ipynb", "--json", capsys=capsys)
    assert code == 2
    assert told["error"]["code"] == "CLO-SHARE-001"


def test_a_byte_order_mark_and_lone_surrogates_stay(home, tmp_path):
    body = b"\xef\xbb\xbf" + json.dumps(notebook(cell("\ud800 x", stream(f"ssn {SSN}")))).encode()
    (tmp_path / "n.ipynb").write_bytes(body)
    assert share("n.ipynb")[0] == 0
    kept = (tmp_path / "n.shared.ipynb").read_bytes()
    assert kept.startswith(b"\xef\xbb\xbf")
    assert b"\\ud800" in kept
    assert SSN.encode() not in kept


def receipt_of(tmp_path, name="n"):
    write(tmp_path / f"{name}.ipynb", notebook(cell(name, stream("fine"))))
    assert share(f"{name}.ipynb")[0] == 0
    copy = tmp_path / f"{name}.shared.ipynb"
    return copy, Path(f"{copy}.receipt.json")


def test_a_receipt_stands_for_one_file_only(home, tmp_path, key):
    one, receipt = receipt_of(tmp_path, "one")
    other, others = receipt_of(tmp_path, "other")
    others.write_bytes(receipt.read_bytes())
    assert share(other, "--verify", "--key", key)[0] == 1
    one.write_bytes(one.read_bytes() + b"\n")
    assert share(one, "--verify", "--key", key)[0] == 1


def test_no_change_of_a_receipt_passes(home, tmp_path, key):
    copy, receipt = receipt_of(tmp_path)
    content, good = copy.read_bytes(), json.loads(receipt.read_text())
    payload = json.loads(base64.b64decode(good["payload"]))

    def envelope(**changes):
        return json.dumps({**good, **changes}).encode()

    forged = base64.b64encode(json.dumps({**payload, "policy": "mine"}).encode()).decode()
    signature = bytearray(base64.b64decode(good["signatures"][0]["sig"]))
    signature[3] ^= 1
    broken = [{**good["signatures"][0], "sig": base64.b64encode(signature).decode()}]
    renamed = [{**good["signatures"][0], "keyid": "other+00000000"}]
    for bad in (
        envelope(signatures=[]),
        envelope(payload=forged),
        envelope(signatures=broken),
        envelope(signatures=renamed),
        envelope(payloadType="text/plain"),
        b"{}",
        b"[]",
        b"[" * 100_000,
        b"",
    ):
        with pytest.raises(verifier.ReceiptInvalid):
            verifier.verify_receipt(content, bad, key)
    verifier.verify_receipt(content, envelope(), key)


def test_another_workspaces_key_does_not_pass_even_under_the_same_name(home, tmp_path, key):
    copy, receipt = receipt_of(tmp_path)
    other = ensure_home(Home(tmp_path / "other"))
    stranger = open_keyring(other).verifier_line
    assert share(copy, "--verify", "--key", stranger)[0] == 1
    name = key.partition("+")[0]
    public = base64.b64decode(stranger.split("+", 2)[2])
    identifier = hashlib.sha256(name.encode() + b"\n" + public).hexdigest()[:8]
    same_name = f"{name}+{identifier}+{base64.b64encode(public).decode()}"
    with pytest.raises(verifier.ReceiptInvalid):
        verifier.verify_receipt(copy.read_bytes(), receipt.read_bytes(), same_name)


def test_a_checkpoint_is_no_receipt(home, tmp_path, key):
    """The same key signs both; what is signed begins differently."""
    copy, receipt = receipt_of(tmp_path)
    envelope = json.loads(receipt.read_text())
    payload = base64.b64decode(envelope["payload"])
    bare = open_keyring(home).signer.sign(payload)
    envelope["signatures"][0]["sig"] = base64.b64encode(bare).decode()
    with pytest.raises(verifier.ReceiptInvalid, match="signature"):
        verifier.verify_receipt(copy.read_bytes(), json.dumps(envelope).encode(), key)


def test_the_verifiers_arithmetic_agrees_with_a_library():
    for number in range(8):
        signer = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        public, message = signer.public_key().public_bytes_raw(), bytes(range(number * 7))
        signature = signer.sign(message)
        assert verifier.verify_ed25519(public, message, signature)
        assert not verifier.verify_ed25519(public, message + b"x", signature)
        for at in (0, 31, 32, 63):
            bad = bytearray(signature)
            bad[at] ^= 4
            assert not verifier.verify_ed25519(public, message, bytes(bad))
        order = 2**252 + 27742317777372353535851937790883648493
        scalar = (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
        assert not verifier.verify_ed25519(public, message, signature[:32] + scalar)


def test_the_verifier_runs_without_cloister(home, tmp_path, key, capsys):
    copy, _ = receipt_of(tmp_path)
    capsys.readouterr()
    assert run(["share", "--verifier"]) == 0
    (tmp_path / "verify.py").write_text(capsys.readouterr().out)

    def alone(*arguments):
        command = [sys.executable, "-I", "-S", tmp_path / "verify.py", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)

    assert alone("--key", key, copy).returncode == 0
    copy.write_bytes(copy.read_bytes() + b" ")
    assert alone("--key", key, copy).returncode == 1
    assert alone("--key", "no+key", copy).returncode == 2


@pytest.fixture
def repository(tmp_path, home, monkeypatch):
    root = tmp_path / "repo"
    root.mkdir()
    monkeypatch.chdir(root)
    for name, value in (
        ("GIT_CONFIG_GLOBAL", os.devnull),
        ("GIT_AUTHOR_NAME", "a"),
        ("GIT_AUTHOR_EMAIL", "a@example.org"),
        ("GIT_COMMITTER_NAME", "a"),
        ("GIT_COMMITTER_EMAIL", "a@example.org"),
        ("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}"),
    ):
        monkeypatch.setenv(name, value)
    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "first")
    return root


def git(*arguments, check=True):
    return subprocess.run(["git", *map(str, arguments)], check=check, capture_output=True)


def test_the_hook_stops_commits_with_values_and_lets_others_pass(repository):
    assert share("--install-hook")[0] == 0
    assert share("--install-hook")[0] == 2
    write(repository / "n.ipynb", notebook(cell("1", stream(f"ssn {SSN}"))))
    git("add", "n.ipynb")
    stopped = git("commit", "-q", "-m", "leak", check=False)
    assert stopped.returncode != 0
    assert SSN.encode() not in stopped.stdout + stopped.stderr
    write(repository / "n.ipynb", notebook(cell("1", stream("fine"))))
    git("add", "n.ipynb")
    git("commit", "-q", "-m", "fine")


def test_what_is_staged_is_checked_and_not_what_lies_there(repository):
    dirty, clean = (notebook(cell("1", stream(t))) for t in (f"ssn {SSN}", "fine"))
    write(repository / "n.ipynb", dirty)
    git("add", "n.ipynb")
    write(repository / "n.ipynb", clean)
    assert share("--check", "--staged")[0] == 1
    assert share("--check", "--staged", "n.ipynb")[0] == 1
    git("add", "n.ipynb")
    write(repository / "n.ipynb", dirty)
    assert share("--check", "--staged")[0] == 0


def test_data_files_are_checked_too(repository):
    (repository / "t.csv").write_text(f"a,b\n{NAME},1\n")
    (repository / "odd name\n.csv").write_text("a,b\n1,2\n")
    git("add", "-A")
    assert share("--check", "--staged")[0] == 1
    (repository / "t.csv").write_text("a,b\n3,4\n")
    git("add", "-A")
    assert share("--check", "--staged")[0] == 0


def test_a_merge_needs_a_receipt_for_each_changed_notebook(repository, key):
    git("checkout", "-q", "-b", "work")
    write(repository / "n.ipynb", notebook(cell("1", stream("fine"))))
    assert share("n.ipynb", "-o", "shared é.ipynb")[0] == 0
    (repository / "n.ipynb").unlink()
    git("add", "-A")
    git("commit", "-q", "-m", "with receipt")
    assert share("--verify", "--base", "main", "--key", key)[0] == 0
    write(repository / "bare.ipynb", notebook(cell("2")))
    git("add", "-A")
    git("commit", "-q", "-m", "without")
    # Only what is committed counts: a receipt that lies there is none.
    assert share("--verify", "--base", "main", "--key", key)[0] == 1
    assert share("--verify", "--base", "--output=x", "--key", key)[0] == 2
    assert not (repository / "x...HEAD").exists()
    git("rm", "-q", "bare.ipynb")
    git("commit", "-q", "-m", "gone")
    assert share("--verify", "--base", "main", "--key", key)[0] == 0
