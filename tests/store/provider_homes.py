"""Real and recorded key providers on this machine: a SoftHSM token, Vault's API, an AWS KMS."""

import base64
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SOFTHSM = next(
    (
        path
        for path in (
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
            "/usr/lib64/softhsm/libsofthsm.so",
            "/usr/local/lib/softhsm/libsofthsm2.so",
        )
        if Path(path).exists()
    ),
    None,
)
PIN = "314159"


def private(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


def make_token(directory):
    """Makes a token of SoftHSM and names it to this process and those that it starts."""
    tokens = directory / "tokens"
    tokens.mkdir(parents=True)
    config = directory / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
    os.environ["SOFTHSM2_CONF"] = str(config)
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "cloister",
         "--pin", PIN, "--so-pin", "27182818"], check=True, capture_output=True)  # fmt: skip
    pin = private(directory / "pin", PIN + "\n")
    return f"provider: pkcs11\nmodule: {SOFTHSM}\ntoken: cloister\npin_file: {pin}\nwrap_key: kek\n"


class RecordedVault:
    """Answers as Vault's API documentation says that the transit engine answers.

    Requests and answers are those of "Transit secrets engine (API)": ``POST /v1/transit/encrypt``,
    ``decrypt`` and ``keys/:name/rotate``, errors as ``{"errors": [...]}``. Ciphertexts are real
    AES-GCM with the associated data, so that a wrong context is refused as Vault refuses it.
    """

    TOKEN = "s.recorded"

    def __init__(self):
        self.requests = []
        self.status = None
        self.keys = {"cloister": [os.urandom(32)]}
        recorded = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                recorded.requests.append((self.path, dict(self.headers), body))
                status, answer = recorded.answer(self.path, self.headers, body)
                data = json.dumps(answer).encode() if answer is not None else b""
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                if status in {301, 307}:
                    self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path, headers, body):
        if self.status is not None:
            return self.status, {"errors": ["a reason with /secret/paths"]}
        if headers.get("X-Vault-Token") != self.TOKEN:
            return 403, {"errors": ["permission denied"]}
        _, _, _, operation, name, *_ = [*path.split("/"), ""]  # "", v1, transit, encrypt, NAME
        versions = self.keys.get(name)
        if versions is None:
            return 400, {"errors": ["encryption key not found"]}
        if operation == "keys":
            versions.append(os.urandom(32))
            return 200, {"data": {"latest_version": len(versions)}}
        return (_encrypted if operation == "encrypt" else _decrypted)(versions, body)


def _encrypted(versions, body):
    context, plain = (base64.b64decode(body[name]) for name in ("associated_data", "plaintext"))
    nonce = os.urandom(12)
    sealed = nonce + AESGCM(versions[-1]).encrypt(nonce, plain, context)
    text = f"vault:v{len(versions)}:{base64.b64encode(sealed).decode()}"
    return 200, {"data": {"ciphertext": text, "key_version": len(versions)}}


def _decrypted(versions, body):
    try:
        version, _, text = body["ciphertext"].removeprefix("vault:v").partition(":")
        raw, context = base64.b64decode(text), base64.b64decode(body["associated_data"])
        plain = AESGCM(versions[int(version) - 1]).decrypt(raw[:12], raw[12:], context)
    except (InvalidTag, IndexError, KeyError, ValueError):
        return 400, {"errors": ["cipher: message authentication failed"]}
    return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}
