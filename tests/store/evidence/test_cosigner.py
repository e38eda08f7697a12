"""The witness that cosigns: what C2SP tlog-witness says, and never two histories of one log."""

import base64
import http.client
import shutil
import subprocess
import threading
import time
from dataclasses import replace

import pytest
from cloister.store.checkpoint import Checkpoint, sign_checkpoint
from cloister.store.evidence.answers import WitnessUnavailable
from cloister.store.evidence.cosignature import WitnessKeyError, parse_witness_key
from cloister.store.evidence.cosigner import Cosigner, CosignerError, create_cosigner
from cloister.store.evidence.cosigner_server import CosignerServer
from cloister.store.evidence.exchange import post
from cloister.store.evidence.reader import EvidenceReader
from cloister.store.evidence.record_verifier import cosigned_at, parse_key, parse_note
from cloister.store.keys import key_id
from provenlog import Workspace


def request(old, proof, note):
    lines = "".join(f"{base64.b64encode(node).decode()}\n" for node in proof)
    return f"old {old}\n{lines}\n{note}".encode()


def ask(cosigner, workspace, old):
    """Sends the newest checkpoint with a proof from ``old``."""
    with EvidenceReader(workspace.home) as reader:
        head = reader.head()
        return cosigner.add_checkpoint(
            request(old, reader.consistency(old, head.size), head.note)
        ), head


@pytest.fixture
def watching(cosigner, workspace):
    workspace.record(3)
    cosigner.trust(workspace.verifier)
    return cosigner


def test_cosigns_a_log_that_grows_and_any_c2sp_verifier_agrees(watching, workspace):
    key = parse_key(watching.verifier_line)
    size = 0
    for more in (0, 1, 4, 9):
        workspace.record(more)
        answer, head = ask(watching, workspace, size)
        assert (answer.status, answer.body.count("\n")) == (200, 1)
        note = parse_note((head.note + answer.body).encode())
        assert abs(cosigned_at(note, key) - time.time()) < 60
        assert cosigned_at(note, key._replace(name="w2")) is None
        assert cosigned_at(note, parse_key(workspace.key_line)) is None
        size = head.size
    assert [(x.size, x.conflicts) for x in watching.watched()] == [(17, 0)]


def test_a_cosignature_is_bound_to_its_time_and_its_checkpoint(watching, workspace):
    answer, head = ask(watching, workspace, 0)
    mark, name, encoded = answer.body.split()
    raw = bytearray(base64.b64decode(encoded))
    key = parse_key(watching.verifier_line)
    for place in (4, 11, 12, 75):
        changed = raw.copy()
        changed[place] ^= 1
        line = f"{mark} {name} {base64.b64encode(bytes(changed)).decode()}\n"
        assert cosigned_at(parse_note((head.note + line).encode()), key) is None
    other = head.note.replace("\n3\n", "\n4\n")
    assert cosigned_at(parse_note((other + answer.body).encode()), key) is None


def test_the_answers_of_the_specification(watching, workspace, tmp_path):
    with EvidenceReader(workspace.home) as reader:
        head = reader.head()
        stranger = Workspace(tmp_path / "stranger")
        stranger.record(1)
        unknown = request(0, [], stranger.checkpoint())
        assert watching.add_checkpoint(unknown).status == 404
        signed_by_other = sign_checkpoint(
            Checkpoint(workspace.verifier.name, 3, head.root),
            workspace.verifier.name,
            key_id(workspace.verifier.name, workspace.verifier.public_key),
            stranger.keyring.signer.sign,
        )
        assert watching.add_checkpoint(request(0, [], signed_by_other)).status == 403
        assert watching.add_checkpoint(request(4, [], head.note)).status == 400
        behind = watching.add_checkpoint(request(2, reader.consistency(2, 3), head.note))
        assert (behind.status, behind.body, behind.content_type) == (409, "0\n", "text/x.tlog.size")
        assert watching.add_checkpoint(request(0, [bytes(32)], head.note)).status == 422
        assert watching.add_checkpoint(request(0, [], head.note)).status == 200
        workspace.record(4)
        head = reader.head()
        assert watching.add_checkpoint(request(3, [], head.note)).status == 422
        assert watching.add_checkpoint(request(3, [bytes(32)] * 3, head.note)).status == 422
        assert watching.watched()[0].size == 3, "what was refused is not remembered"
        good = request(3, reader.consistency(3, 7), head.note)
        assert watching.add_checkpoint(good).status == 200
        again = watching.add_checkpoint(request(7, [], head.note))
        assert again.status == 200, "the same tree may be cosigned anew, with a new time"
        assert watching.add_checkpoint(good).status == 409
    for nonsense in (
        b"",
        b"old 3",
        b"old 03\n\nx",
        b"old -1\n\nx",
        b"old 3\nnot base64\n\n" + head.note.encode(),
        request(3, [bytes(32)] * 64, head.note),
        request(3, [], "no note"),
        b"\xff" * 100,
        b"old 0\n\n" + b"x" * 70_000,
    ):
        assert watching.add_checkpoint(nonsense).status == 400


def test_a_second_history_is_refused_and_kept_as_proof(watching, workspace, tmp_path):
    ask(watching, workspace, 0)
    shutil.copytree(workspace.home.root, tmp_path / "fork")
    fork = Workspace(tmp_path / "fork")
    workspace.record(5, first=3)
    assert ask(watching, workspace, 3)[0].status == 200
    fork.record(5, first=100)  # as long, signed by the same key, and other events
    answer, head = ask(watching, fork, 3)
    assert (answer.status, answer.body) == (409, "8\n")
    with EvidenceReader(fork.home) as reader:
        assert watching.add_checkpoint(request(8, [], head.note)).status == 409
        fork.record(2, first=105)
        longer = reader.head()
        proof = reader.consistency(8, 10)
        assert watching.add_checkpoint(request(8, proof, longer.note)).status == 422
    (known,) = watching.watched()
    assert (known.size, known.conflicts) == (8, 2)


def test_an_older_tree_is_never_cosigned_again(watching, workspace, tmp_path):
    shutil.copytree(workspace.home.root, tmp_path / "old")
    workspace.record(5, first=3)
    ask(watching, workspace, 0)
    answer, _ = ask(watching, Workspace(tmp_path / "old"), 0)
    assert (answer.status, answer.body) == (409, "8\n")
    answer, _ = ask(watching, Workspace(tmp_path / "old"), 3)
    assert answer.status == 409


def test_racing_requests_leave_one_memory(watching, workspace):
    ask(watching, workspace, 0)
    workspace.record(6)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(watching, workspace, 3)[0].status))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] + [409] * 7
    assert watching.watched()[0].size == 9


def test_what_it_saw_survives_a_restart(watching, workspace, tmp_path):
    ask(watching, workspace, 0)
    again = Cosigner(tmp_path / "w1")
    assert again.verifier_line == watching.verifier_line
    assert again.watched()[0].size == 3


def test_a_witness_without_its_memory_or_its_key_does_not_start(cosigner, tmp_path):
    (tmp_path / "w1" / "state.db").rename(tmp_path / "gone")
    with pytest.raises(CosignerError, match="memory"):
        Cosigner(tmp_path / "w1")
    with pytest.raises(CosignerError, match="already"):
        create_cosigner(tmp_path / "w1", "audit.example.org/w1")
    (tmp_path / "gone").rename(tmp_path / "w1" / "state.db")
    Cosigner(tmp_path / "w1")
    (tmp_path / "w1" / "witness.key").chmod(0o644)
    with pytest.raises(CosignerError, match="private"):
        Cosigner(tmp_path / "w1")
    for name in ("", "a b", "a+b", "-x"):
        with pytest.raises(CosignerError, match="name"):
            create_cosigner(tmp_path / "w2", name)


def test_a_log_cannot_change_its_key_under_its_name(watching, workspace):
    other = replace(workspace.verifier, public_key=bytes(32))
    with pytest.raises(CosignerError, match="another key"):
        watching.trust(other)
    watching.trust(workspace.verifier)
    assert len(watching.watched()) == 1


def test_keys_of_logs_and_of_witnesses_are_not_mixed_up(cosigner, workspace):
    assert parse_witness_key(cosigner.verifier_line) == cosigner.key
    for line in (workspace.key_line, "", "nonsense", cosigner.verifier_line[:-2]):
        with pytest.raises(WitnessKeyError):
            parse_witness_key(line)


# --- over HTTP ---------------------------------------------------------------------------------


def test_a_request_over_http_is_answered(listening, watching, workspace):
    with EvidenceReader(workspace.home) as reader:
        head = reader.head()
    reply = post(f"{listening}/add-checkpoint", request(0, [], head.note), "text/plain")
    assert reply.status == 200
    assert reply.body.startswith("— audit.example.org/w1 ".encode())
    conflict = post(f"{listening}/add-checkpoint", request(2, [], head.note), "text/plain")
    assert (conflict.status, conflict.body) == (409, b"3\n")


def test_what_is_no_such_request_is_refused_shortly(listening):
    host, port = listening.removeprefix("http://").split(":")
    for method, path, headers, body in (
        ("GET", "/add-checkpoint", {}, None),
        ("POST", "/other", {}, b"x"),
        ("POST", "/add-checkpoint", {"Content-Length": "99999999"}, None),
        ("POST", "/add-checkpoint", {"Transfer-Encoding": "chunked"}, None),
        ("POST", "/add-checkpoint", {}, b"garbage \x00"),
    ):
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        connection.putrequest(method, path)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        assert response.status in {400, 404, 411, 413, 501}
        text = response.read()
        assert b"garbage" not in text
        assert len(text) < 200
        connection.close()


def test_one_silent_client_does_not_hold_up_another(listening, watching, workspace):
    host, port = listening.removeprefix("http://").split(":")
    silent = http.client.HTTPConnection(host, int(port), timeout=5)
    silent.connect()
    reply = post(f"{listening}/add-checkpoint", b"old 0\n\nx", "text/plain")
    assert reply.status == 400
    silent.close()


def test_https_with_a_certificate_of_ones_own(watching, workspace, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    server = CosignerServer(("127.0.0.1", 0), watching, (certificate, key))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = f"https://localhost:{server.server_address[1]}/add-checkpoint"
    try:
        with pytest.raises(WitnessUnavailable, match="certificate"):
            post(url, b"old 0\n\nx", "text/plain")
        assert post(url, b"old 0\n\nx", "text/plain", str(certificate)).status == 400
    finally:
        server.shutdown()
        server.server_close()


def test_nobody_at_an_address_is_said_without_the_address():
    with pytest.raises(WitnessUnavailable, match="does not answer") as caught:
        post("http://127.0.0.1:9/add-checkpoint", b"x", "text/plain")
    assert "127" not in str(caught.value)
