"""Records as versions before data keys wrote them: tables of version 2, payloads under one key."""

import os
import sqlite3

from cloister.store.lineage import LineageLog
from cloister.store.lineage_schema import SINCE_DATA_KEYS
from cloister.store.mentions import first_names_in
from cloister.store.payloads import PayloadBox, SealedPayload
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def seal_as_before(keyring):
    """What ``PayloadBox.seal`` did: nonce and ciphertext under the derived key, bound to origin and
    number."""
    cipher, origin = AESGCM(keyring.payload_key), keyring.key_name.encode()

    def seal(self, generation, seq, kind, payload):
        nonce = os.urandom(12)
        place = b"cloister-payload-v1\0" + origin + b"\0" + seq.to_bytes(8, "big")
        return SealedPayload(nonce + cipher.encrypt(nonce, payload, place), (generation, b""))

    return seal


def append_as_before(home, keyring, records, monkeypatch):
    """Appends records as an older version did, without data keys."""
    with monkeypatch.context() as patch:
        patch.setattr(PayloadBox, "seal", seal_as_before(keyring))
        with LineageLog(home, keyring) as log:
            log.append(records)
            log.beside(lambda store: store.execute("DELETE FROM data_key WHERE wrapped = :none",
                                                   {"none": b""}))  # fmt: skip


def take_back_to(version, path):
    """Gives a SQLite record the tables of an older version."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("DELETE FROM mention")
    for seq, kind, header in database.execute("SELECT seq, type, header FROM event").fetchall():
        names = [(name, seq) for name in first_names_in(kind, header)]
        database.executemany("INSERT INTO mention VALUES (?, ?)", names)
    if version < SINCE_DATA_KEYS:
        database.execute("DROP TABLE data_key")
        database.execute("DROP TABLE erased")
        database.execute("ALTER TABLE head DROP COLUMN generation")
        database.execute("ALTER TABLE head DROP COLUMN signer")
    if version == 1:
        database.execute("DROP TABLE mention")
        database.execute("DROP TABLE writer")
    database.execute(f"PRAGMA user_version={version}")
    database.close()
