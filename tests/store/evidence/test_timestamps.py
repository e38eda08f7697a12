"""RFC 3161: stamps of a real authority, ``openssl ts`` behind HTTP, verified in two ways."""

import http.server
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from cloister.core.recordrules import RecordRules, WitnessKind, WitnessRule
from cloister.store.evidence import record_verifier as alone
from cloister.store.evidence.answers import WitnessUnavailable
from cloister.store.evidence.bundle import Selection
from cloister.store.evidence.posture import coverage
from cloister.store.evidence.standing import State
from cloister.store.evidence.timestamps import request_stamp, verify_stamp
from cloister.store.evidence.witnessing import Witnessing
from provenlog import members, packed

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")

CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {0}/serial
crypto_device = builtin
signer_cert = {0}/tsa.pem
signer_key = {0}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""
EXTENSIONS = "extendedKeyUsage = critical,timeStamping\nkeyUsage = critical,digitalSignature\n"


def openssl(*arguments: object, **more: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, **more)


class Authority:
    """A time stamp authority with a root of its own, on loopback."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca_file = directory / "ca.pem"
        self.mode = "honest"
        ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", "-x509", *ec, "-keyout", directory / "ca.key", "-out", self.ca_file,
                "-days", "3", "-subj", "/CN=Test root")  # fmt: skip
        openssl("req", *ec, "-keyout", directory / "tsa.key", "-out", directory / "tsa.csr",
                "-subj", "/CN=Test authority")  # fmt: skip
        (directory / "extensions").write_text(EXTENSIONS)
        openssl("x509", "-req", "-in", directory / "tsa.csr", "-CA", self.ca_file,
                "-CAkey", directory / "ca.key", "-CAcreateserial", "-days", "3",
                "-extfile", directory / "extensions", "-out", directory / "tsa.pem")  # fmt: skip
        (directory / "serial").write_text("01\n")
        (directory / "tsa.cnf").write_text(CONFIG.format(directory))

    def answer(self, query: bytes) -> bytes:
        if self.mode == "garbage":
            return b"\x30\x03\x02\x01\x00"
        if self.mode == "replay":
            return (self.directory / "reply").read_bytes()
        (self.directory / "query").write_bytes(query)
        chain = ["-chain", self.ca_file] if self.mode == "chain" else []
        openssl("ts", "-reply", "-config", self.directory / "tsa.cnf", "-section", "one",
                "-queryfile", self.directory / "query", "-out", self.directory / "reply",
                *chain)  # fmt: skip
        return (self.directory / "reply").read_bytes()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("tsa"))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            data = made.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(500 if made.mode == "broken" else 200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}/tsa"
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def honest(authority):
    authority.mode = "honest"


def stamped_by(authority) -> RecordRules:
    rule = WitnessRule(
        "record.witnesses[0]", "tsa", WitnessKind.TIMESTAMP, authority.url,
        ca_file=str(authority.ca_file), every_s=3600,
    )  # fmt: skip
    return RecordRules((rule,))


def asks(workspace, authority):
    rules = stamped_by(authority)
    return Witnessing(workspace.home, workspace.keyring, lambda: rules)


def test_a_stamp_says_when_and_what_and_openssl_agrees(authority, tmp_path):
    stamp = request_stamp(authority.url, authority.ca_file, b"a checkpoint")
    assert abs(stamp.time_s - time.time()) < 60
    assert verify_stamp(stamp.token, authority.ca_file, b"a checkpoint") == stamp.time_s
    with pytest.raises(WitnessUnavailable):
        verify_stamp(stamp.token, authority.ca_file, b"another checkpoint")
    assert alone.verify_token(b"a checkpoint", stamp.token, str(authority.ca_file)) is not None
    assert alone.verify_token(b"b checkpoint", stamp.token, str(authority.ca_file)) is None
    other = tmp_path / "other"
    other.mkdir()
    assert alone.verify_token(b"a checkpoint", stamp.token, str(Authority(other).ca_file)) is None


@pytest.mark.parametrize("mode", ["garbage", "replay", "broken"])
def test_an_answer_that_is_no_stamp_of_this_request_is_not_taken(authority, mode):
    request_stamp(authority.url, authority.ca_file, b"an older request")
    authority.mode = mode
    with pytest.raises(WitnessUnavailable):
        request_stamp(authority.url, authority.ca_file, b"an older request")


def test_the_library_refuses_answers_with_a_chain_and_that_is_said(authority):
    """If this fails, the library reads them now, and the documents may say so."""
    authority.mode = "chain"
    with pytest.raises(WitnessUnavailable, match="no valid time stamp"):
        request_stamp(authority.url, authority.ca_file, b"x")


def test_another_authority_is_not_believed(authority, tmp_path):
    with pytest.raises(WitnessUnavailable, match="no valid time stamp"):
        request_stamp(authority.url, Authority(tmp_path).ca_file, b"x")
    (tmp_path / "none.pem").write_text("nothing")
    with pytest.raises(WitnessUnavailable, match="certificates"):
        request_stamp(authority.url, tmp_path / "none.pem", b"x")


def test_the_record_is_stamped_and_the_bundle_carries_the_stamps(workspace, authority, tmp_path):
    workspace.record(3)
    (standing,) = asks(workspace, authority).round(is_forced=True)
    assert standing.state is State.CURRENT
    assert {c.id: c.holds for c in coverage([standing])} == {
        "witness": True,
        "record-rollback": False,  # an authority remembers nothing
        "record-forgery": False,
        "record-backdating": True,
    }
    workspace.record(2, first=3)
    asks(workspace, authority).round(is_forced=True)
    bundle = workspace.export(
        tmp_path / "b.zip", Selection(events=(0, 4)), rules=stamped_by(authority)
    )
    key, ca_file = alone.parse_key(workspace.key_line), str(authority.ca_file)
    report = alone.verify_bundle(bundle, key, tsa_ca=ca_file)
    assert report["ok"], report["problems"]
    assert [(x["size"], x["verified"]) for x in report["stamped"]] == [(3, True), (5, True)]
    assert not any(x["verified"] for x in alone.verify_bundle(bundle, key)["stamped"])

    parts = members(bundle)
    parts["timestamps/3.tsr"], parts["timestamps/5.tsr"] = (
        parts["timestamps/5.tsr"],
        parts["timestamps/3.tsr"],
    )
    (tmp_path / "swapped.zip").write_bytes(packed(parts))
    assert not alone.verify_bundle(tmp_path / "swapped.zip", key, tsa_ca=ca_file)["ok"]
