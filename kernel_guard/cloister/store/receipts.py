"""Signed receipts for files that were checked before they were shared.

A receipt is a DSSE envelope (https://github.com/secure-systems-lab/dsse): canonical JSON that names
the file by its SHA-256, what was checked, under which policy and against which known values, signed
with the workspace's Ed25519 key. What is signed begins with ``DSSEv1``, so that no signature of a
checkpoint passes for one of a receipt. Verified by :mod:`cloister.store.receipt_verifier`, which
also runs on its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Final

from cloister.core.records import canonical_bytes
from cloister.store.keys import key_id
from cloister.store.receipt_verifier import PAYLOAD_TYPE, pre_authentication_encoding

if TYPE_CHECKING:
    from cloister.core.records import Json
    from cloister.store.keys import Keyring

SUFFIX: Final = ".receipt.json"


def sign_receipt(content: bytes, facts: dict[str, Json], keyring: Keyring) -> str:
    """Returns the receipt of a file.

    Args:
        content: All bytes of the file.
        facts: What was checked; see ``docs/how-to/share-a-notebook.md``. Never a value.
        keyring: Has the key that signs.
    """
    statement: dict[str, Json] = {
        **facts,
        "version": 1,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "signer": keyring.key_name,
    }
    payload = canonical_bytes(statement)
    signature = keyring.signer.sign(pre_authentication_encoding(payload))
    identifier = key_id(keyring.key_name, keyring.public_key_bytes).hex()
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {
                "keyid": f"{keyring.key_name}+{identifier}",
                "sig": base64.b64encode(signature).decode(),
            }
        ],
    }
    return json.dumps(envelope, indent=1, sort_keys=True) + "\n"
