"""``cloister keys``: whether the workspace's keys are there and private."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from cloister.cli.output import json_option, print_json, print_table, say
from cloister.cli.workspace import current_home
from cloister.core.errors import CloisterError
from cloister.store.keys import open_keyring

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def keys() -> None:
    """Look after the workspace's keys."""


@keys.command()
@json_option
def status(*, as_json: bool) -> None:
    """Say whether each key is there, private and undamaged. Shows no secret."""
    home = current_home()
    rows: list[_Row] = []
    keyring = None
    try:
        keyring = open_keyring(home)
        public = keyring.verifier_line
        why = ""
    except CloisterError as error:
        public, why = "", f"{error.message} {error.remedy}"
    for name, use in (
        ("workspace", "tokens, exact matches, payloads"),
        ("lineage", "signs the record's checkpoints"),
    ):
        rows.append(_Row(name, use, not why, why or "present, private, undamaged"))
    is_matching = keyring is not None and _read(home.keys_dir / "lineage.pub") == public
    reason = "matches the signing key" if is_matching else "does not match the signing key"
    rows.append(_Row("lineage.pub", "verifies the record", is_matching, reason))
    if as_json:
        print_json({"keys": [asdict(row) for row in rows], "public_key": public})
    else:
        print_table(
            ["key", "use", "ok", "why"],
            [(row.key, row.use, "yes" if row.ok else "NO", row.why) for row in rows],
            "",
        )
        if public:
            say(f"Public key: {public}")
    if not all(row.ok for row in rows):
        click.get_current_context().exit(1)


@dataclass(frozen=True, slots=True)
class _Row:
    key: str
    use: str
    ok: bool
    why: str


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
