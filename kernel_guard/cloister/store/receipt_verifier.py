#!/usr/bin/env python3
"""Verifies receipts of shared files with nothing but a public key and Python's standard library.

``cloister share --verifier > verify_receipts.py`` writes this file; CI elsewhere runs it:

    python verify_receipts.py --key KEY FILE...            # each with FILE.receipt.json beside it
    python verify_receipts.py --key KEY --base origin/main # all notebooks changed since, from git

KEY is a verifier line (``cloister-…+…+…``) or a file with one, taken from where the receiver trusts
it, never from beside the receipt. Exits with 0 when every file has a valid receipt, 1 when one has
not, 2 when it could not be told. Signatures: Ed25519 as in RFC 8032 section 5.1.7; nothing here is
secret, so nothing needs constant time.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PAYLOAD_TYPE = "application/vnd.cloister.receipt+json"
SUFFIX = ".receipt.json"
_MOST_RECEIPT_BYTES = 65_536
_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
_BY = 4 * pow(5, _P - 2, _P) % _P


class ReceiptInvalid(ValueError):
    """A receipt does not stand for a file; the text says why, without anything from the file."""


def pre_authentication_encoding(payload: bytes) -> bytes:
    """Returns what is signed (DSSE, "PAE")."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def parse_key(line: str) -> tuple[str, bytes, str]:
    """Returns name, public key and key id of a verifier line (C2SP signed-note).

    Raises:
        ReceiptInvalid: It is none.
    """
    line = line.strip().split("\n")[0]  # lineage.pub says below the key how keys followed
    name, _, rest = line.partition("+")
    identifier, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ReceiptInvalid("the key is no verifier key") from None
    expected = hashlib.sha256(name.encode() + b"\n" + raw).hexdigest()[:8]
    if not name or raw[:1] != b"\x01" or len(raw) != 33 or identifier != expected:
        raise ReceiptInvalid("the key is no verifier key")
    return name, raw[1:], f"{name}+{identifier}"


def verify_receipt(content: bytes, receipt: bytes, key: str) -> dict[str, Any]:
    """Returns what a receipt says of a file, if the key signed it for exactly this file.

    Args:
        content: All bytes of the file.
        receipt: The envelope.
        key: Verifier line.

    Raises:
        ReceiptInvalid: It does not hold.
    """
    name, public, identifier = parse_key(key)
    try:
        envelope = json.loads(receipt[: _MOST_RECEIPT_BYTES + 1])
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [
            base64.b64decode(entry["sig"], validate=True)
            for entry in envelope["signatures"]
            if entry["keyid"] == identifier
        ]
        kind = envelope["payloadType"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ReceiptInvalid("the receipt is not well formed") from None
    if kind != PAYLOAD_TYPE:
        raise ReceiptInvalid("this is not a receipt")
    if not signatures:
        raise ReceiptInvalid("the receipt is not signed with this key")
    message = pre_authentication_encoding(payload)
    if not any(verify_ed25519(public, message, signature) for signature in signatures):
        raise ReceiptInvalid("the signature is not valid")
    statement: dict[str, Any] = json.loads(payload)
    if statement.get("version") != 1 or statement.get("signer") != name:
        raise ReceiptInvalid("the receipt is of another kind or signer")
    if statement.get("sha256") != hashlib.sha256(content).hexdigest():
        raise ReceiptInvalid("the file is not the one that was checked")
    if statement.get("result") != "clean":
        raise ReceiptInvalid("the file was checked and is not clean")
    return statement


def verify_ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Returns whether an Ed25519 signature is valid (RFC 8032 section 5.1.7)."""
    if len(signature) != 64 or len(public) != 32:
        return False
    key, commitment = _point(public), _point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= _L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % _L
    base = _point(_BY.to_bytes(32, "little"))
    assert base is not None  # noqa: S101 - a constant of the curve
    left, right = _times(scalar, base), _add(commitment, _times(challenge, key))
    return _is_same(left, right)


def _point(data: bytes) -> tuple[int, int, int, int] | None:
    """Returns the point that 32 bytes encode, ``None`` when they encode none."""
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _add(p: tuple[int, int, int, int], q: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point = _add(point, point)
        scalar >>= 1
    return total


def _is_same(p: tuple[int, int, int, int], q: tuple[int, int, int, int]) -> bool:
    return (p[0] * q[2] - q[0] * p[2]) % _P == 0 and (p[1] * q[2] - q[1] * p[2]) % _P == 0


def changed_notebooks(base: str, head: str = "HEAD") -> list[str]:
    """Returns the notebooks that a branch adds or changes, by their paths in the repository.

    Raises:
        subprocess.CalledProcessError: Git said no.
    """
    if base.startswith("-"):
        raise ReceiptInvalid("a revision does not begin with a dash")
    names = _git(
        "diff", "--name-only", "-z", "--no-renames", "--diff-filter=d", f"{base}...{head}", "--"
    )
    paths = names.decode("utf-8", "surrogateescape").split("\0")
    return [path for path in paths if path.lower().endswith(".ipynb")]


def committed(path: str, head: str = "HEAD") -> bytes | None:
    """Returns a file as it is committed, ``None`` when it is not there or is no plain file."""
    listing = _git("ls-tree", "-z", "--full-tree", head, "--", path)
    entry = listing.partition(b"\t")[0]
    mode, _, rest = entry.partition(b" ")
    if not mode.startswith(b"100"):  # a link or a submodule is no file
        return None
    return _git("cat-file", "blob", rest.split(b" ")[1].decode())


def _git(*arguments: str) -> bytes:
    command = ["git", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def check(content: bytes | None, receipt: bytes | None, key: str) -> str:
    """Returns why a file's receipt does not hold, or ``""``."""
    if content is None:
        return "it is not there, or is no plain file"
    if receipt is None:
        return f"it has no receipt ({SUFFIX})"
    try:
        verify_receipt(content, receipt, key)
    except ReceiptInvalid as reason:
        return str(reason)
    return ""


def read(path: str) -> bytes | None:
    """Returns a file of the working tree, ``None`` when there is none."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def read_key(text: str) -> str:
    """Returns a verifier line that is given as such or as a file."""
    return text if "+" in text else Path(text).read_text("utf-8").strip()


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="Verify receipts of shared notebooks.")
    parser.add_argument("--key", required=True, help="verifier line, or a file with one")
    parser.add_argument("--base", help="check all notebooks that changed since this revision")
    parser.add_argument("files", nargs="*")
    given = parser.parse_args()
    try:
        key = read_key(given.key)
        parse_key(key)
        found = {path: check(read(path), read(path + SUFFIX), key) for path in given.files}
        for path in changed_notebooks(given.base) if given.base else ():
            found[path] = check(committed(path), committed(path + SUFFIX), key)
    except (OSError, ReceiptInvalid, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"cannot tell: {type(error).__name__}\n")
        return 2
    for path, reason in sorted(found.items()):
        sys.stdout.write(f"{'FAIL' if reason else 'ok  '} {path!a} {reason}".rstrip() + "\n")
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
