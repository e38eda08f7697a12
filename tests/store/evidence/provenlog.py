"""A log with events, bundles of it, and rules with one witness each."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from pathlib import Path

from cloister.core.recordrules import RecordRules, WitnessKind, WitnessRule
from cloister.core.records import Record
from cloister.core.retention import RetentionRules
from cloister.store.checkpoint import Verifier
from cloister.store.erasure import erase, plan_erasure
from cloister.store.erasure_reader import ErasureReader
from cloister.store.evidence.bundle import Selection, write_bundle
from cloister.store.evidence.memory import Memories
from cloister.store.evidence.reader import EvidenceReader
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog

# How appends are told apart; the schema's version.
NO_EVIDENCE = {"writer", "alembic_version"}
# Which workspace key wraps next: a wrong one is refused by the next append, and proves nothing.
NO_EVIDENCE_EITHER = {("head", "generation")}


class Workspace:
    """A home with its keys, and short words for what tests do with it."""

    def __init__(self, root: Path) -> None:
        self.home = ensure_home(Home(root))
        self.keyring = open_keyring(self.home)
        self.verifier = Verifier(self.keyring.key_name, self.keyring.public_key_bytes)
        self.memories = Memories(self.home)

    def record(self, count: int, first: int = 0) -> None:
        """Appends so many intents, each in a transaction of its own."""
        with LineageLog(self.home, self.keyring) as log:
            for i in range(first, first + count):
                body = {"execution_id": f"exec-{i:04d}", "user": "ann", "notebook": "a.ipynb"}
                payload = json.dumps({"code": f"print({i})"}).encode() if i % 3 else b""
                log.append([Record("cell.intent", body, payload)])

    def erase(self, first: int, last: int) -> None:
        """Erases the payloads of some events."""
        with ErasureReader(self.home) as reader:
            plan = plan_erasure(
                reader, RetentionRules(), 0, "erase.subject", among=range(first, last + 1)
            )
        with LineageLog(self.home, self.keyring) as log:
            erase(log, plan, {"user": "ann", "attested_by": "cli"})

    def checkpoint(self) -> str:
        """Returns the newest checkpoint, as a reviewer would keep it."""
        return self.home.witness_path.read_text()

    def export(
        self, target: Path, selection: Selection | None = None, rules: RecordRules | None = None
    ) -> Path:
        """Writes a bundle."""
        with EvidenceReader(self.home) as reader:
            write_bundle(
                target,
                reader,
                self.keyring,
                selection or Selection(),
                rules=rules or RecordRules(),
                memories=self.memories,
            )
        return target

    @property
    def key_line(self) -> str:
        """The public key."""
        return self.keyring.verifier_line


def cosigned_by(url: str, key: str, **more) -> RecordRules:
    """Rules with one cosigner."""
    rule = WitnessRule("record.witnesses[0]", "w1", WitnessKind.COSIGNER, url, key, **more)
    return RecordRules((rule,))


def kept_in(path: Path, **more) -> RecordRules:
    """Rules with one file elsewhere."""
    return RecordRules(
        (WitnessRule("record.witnesses[0]", "share", WitnessKind.FILE, str(path), **more),)
    )


def members(bundle: Path) -> dict[str, bytes]:
    """All members of a bundle."""
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: dict[str, bytes]) -> bytes:
    """Members as a zip file whose own checksums are right."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return data.getvalue()


def columns(database: sqlite3.Connection) -> list[tuple[str, str]]:
    """Every table with its columns, whatever the schema is by now."""
    tables = [
        name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    ]
    return [
        (table, column)
        for table in tables
        if table not in NO_EVIDENCE
        for _, column, *_ in database.execute(f"PRAGMA table_info({table})")
        if (table, column) not in NO_EVIDENCE_EITHER
    ]
