"""``cloister keys``: who holds the workspace's keys, whether they are whole, and new ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import click

from cloister.cli.output import json_option, print_json, print_table, say
from cloister.cli.workspace import current_home
from cloister.core.errors import CloisterError
from cloister.store.keys import open_keyring

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MOST_BYTES = 16_384


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
    public = provider = ""
    generations: list[int] = []
    try:
        keyring = open_keyring(home)
        public = keyring.verifier_line
        keyring.signer  # noqa: B018 - a provider that holds it must let it be used
        provider = "machine" if keyring.provider is None else keyring.provider.name
        generations = sorted(keyring.workspace_keys.generations)
        why = ""
    except CloisterError as error:
        why = f"{error.message} {error.remedy}"
    for name, use in (
        ("workspace", "tokens, exact matches, keys of payloads"),
        ("lineage", "signs the record's checkpoints"),
    ):
        rows.append(_Row(name, use, not why, why or "present, private, undamaged"))
    is_matching = (
        keyring is not None
        and not why
        and (_read(home.keys_dir / "lineage.pub") == keyring.public_text.strip())
    )
    reason = "matches the signing key" if is_matching else "does not match the signing key"
    rows.append(_Row("lineage.pub", "verifies the record", is_matching, reason))
    replaced = 0 if keyring is None or why else len(keyring.signing_keys.successions)
    is_waiting = len(generations) > 1 or (
        keyring is not None and not why and len(keyring.signing_keys.keys) > 1
    )
    if as_json:
        print_json(
            {
                "keys": [asdict(row) for row in rows],
                "public_key": public,
                "provider": provider,
                "generation": generations[-1] if generations else None,
                "signing_keys_replaced": replaced,
                "rotation_unfinished": is_waiting,
            }
        )
    else:
        print_table(
            ["key", "use", "ok", "why"],
            [(row.key, row.use, "yes" if row.ok else "NO", row.why) for row in rows],
            "",
        )
        if public:
            say(f"Public key: {public}")
        if provider:
            say(f"Held by: {provider}; workspace key {generations[-1]}, {replaced} signing keys "
                "before this one")  # fmt: skip
        if is_waiting:
            say("A rotation was interrupted. Finish it with: cloister keys rotate")
    if not all(row.ok for row in rows):
        click.get_current_context().exit(1)


@keys.command()
@click.option("--signing-key", is_flag=True, help="Replace the key that signs the record, too.")
@click.option(
    "--provider",
    type=_FILE,
    metavar="FILE",
    help="Move the keys to the provider of this file, which becomes keys.yaml.",
)
@click.option("--no-provider", is_flag=True, help="Keep the keys in clear in the home again.")
@json_option
def rotate(*, signing_key: bool, provider: Path | None, no_provider: bool, as_json: bool) -> None:
    """Make a new workspace key and wrap all data keys with it, while kernels go on.

    A rotation that was interrupted is finished by the next one. Payloads and hashes stay as they
    are. Copy keys/ to other machines of the same record afterwards.
    """
    import os

    from cloister.cli.workspace import current_policy
    from cloister.store.identity import current_identity
    from cloister.store.rotation import Rotation

    if provider is not None and no_provider:
        raise click.UsageError("Name --provider or --no-provider, not both.")
    home = current_home()
    try:
        user: str | None = current_identity(os.environ, current_policy(home)).user
    except CloisterError:  # an invalid policy must not keep an admin from changing the keys
        user = None
    settings = b"" if no_provider else None
    if provider is not None:
        with provider.open("rb") as stream:
            settings = stream.read(_MOST_BYTES)
    rotated = Rotation(home, {"user": user, "attested_by": "cli"}).run(
        signing=signing_key, settings=settings
    )
    if as_json:
        print_json({**asdict(rotated), "public_key": open_keyring(home).verifier_line})
        return
    say(f"Workspace key {rotated.generation} is in force; {rotated.rewrapped} data keys were "
        "wrapped with it.")  # fmt: skip
    say(f"Provider: {rotated.provider}")
    say(f"Public key: {open_keyring(home).verifier_line}")
    if signing_key:
        say("Give the new keys/lineage.pub to reviewers and witnesses.")


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
