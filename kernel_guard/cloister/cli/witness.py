"""``cloister witness``: ask the witnesses of this record, and be a witness of other records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloister.cli.output import json_option, print_json, print_table, say
from cloister.cli.workspace import current_home, current_policy
from cloister.core.errors import CloisterError
from cloister.store.keys import open_keyring, parse_public

if TYPE_CHECKING:
    from cloister.store.evidence.standing import Standing

_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def witness() -> None:
    """Witness records: keep, outside a machine, what its record was."""


@witness.command()
@json_option
def status(*, as_json: bool) -> None:
    """Say how far the witnesses that the policy names are. Asks nobody."""
    import time

    from cloister.store.evidence.memory import Memories
    from cloister.store.evidence.reader import EvidenceReader
    from cloister.store.evidence.standing import standings

    home = current_home()
    with EvidenceReader(home) as reader:
        found = standings(current_policy(home).record, Memories(home), reader, time.time())
    _tell(found, as_json=as_json)


@witness.command()
@json_option
def push(*, as_json: bool) -> None:
    """Ask all witnesses that the policy names, now. Exits with 1 when one lacks something."""
    from cloister.store.evidence.witnessing import Witnessing

    home = current_home()
    rules = current_policy(home).record
    found = Witnessing(home, open_keyring(home), lambda: rules).round(is_forced=True, waits=True)
    _tell(found, as_json=as_json, is_strict=True)


@witness.command("init")
@click.argument("directory", type=_DIRECTORY)
@click.option("--name", required=True, help="Name of its key, such as audit.example.org/w1")
@json_option
def init_command(directory: Path, name: str, *, as_json: bool) -> None:
    """Make a witness in DIRECTORY and print its public key."""
    from cloister.store.evidence.cosigner import create_cosigner

    made = create_cosigner(directory, name)
    if as_json:
        print_json({"name": name, "public_key": made.verifier_line})
        return
    say(made.verifier_line)


@witness.command()
@click.argument("directory", type=_DIRECTORY)
@click.argument("key", type=_FILE)
@json_option
def trust(directory: Path, key: Path, *, as_json: bool) -> None:
    """Let the witness in DIRECTORY watch the log of KEY, a workspace's keys/lineage.pub."""
    from cloister.store.evidence.cosigner import Cosigner

    try:
        log = parse_public(key.read_text("ascii"))
    except (UnicodeDecodeError, CloisterError):
        raise CloisterError(
            "The key file does not hold a public key of a record.",
            code="CLO-INPUT-003",
            remedy="Use keys/lineage.pub of the workspace whose record this is.",
        ) from None
    Cosigner(directory).trust(log)
    if as_json:
        print_json({"log": log.name})
        return
    say(f"The log {log.name} is watched.")


@witness.command()
@click.argument("directory", type=_DIRECTORY)
@json_option
def show(directory: Path, *, as_json: bool) -> None:
    """Show the public key of the witness in DIRECTORY, and what it knows of each log.

    Exits with 1 when a log has shown it two histories.
    """
    from cloister.store.evidence.cosigner import Cosigner

    cosigner = Cosigner(directory)
    logs = cosigner.watched()
    if as_json:
        rows = [{"log": x.origin, "size": x.size, "conflicts": x.conflicts} for x in logs]
        print_json({"public_key": cosigner.verifier_line, "logs": rows})
    else:
        say(cosigner.verifier_line)
        print_table(
            ["log", "events", "conflicts"],
            [(x.origin, x.size, x.conflicts) for x in logs],
            "It watches no log yet: cloister witness trust",
        )
    if any(x.conflicts for x in logs):
        click.get_current_context().exit(1)


@witness.command()
@click.argument("directory", type=_DIRECTORY)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8472, show_default=True)
@click.option("--tls-cert", type=_FILE, help="Certificate (PEM), for HTTPS.")
@click.option("--tls-key", type=_FILE, help="Its key (PEM).")
def serve(
    directory: Path, host: str, port: int, tls_cert: Path | None, tls_key: Path | None
) -> None:
    """Answer requests to cosign (C2SP tlog-witness) as the witness in DIRECTORY."""
    from cloister.store.evidence.cosigner import Cosigner
    from cloister.store.evidence.cosigner_server import CosignerServer

    if (tls_cert is None) is not (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together.")
    certificate = None if tls_cert is None or tls_key is None else (tls_cert, tls_key)
    try:
        server = CosignerServer((host, port), Cosigner(directory), certificate)
    except OSError as error:
        raise CloisterError(
            f"The witness cannot listen there ({type(error).__name__}).",
            code="CLO-WITNESS-004",
            remedy="Choose another --host or --port, and check the certificate.",
        ) from error
    scheme = "http" if certificate is None else "https"
    say(f"{scheme}://{host}:{server.server_address[1]}")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def _tell(found: list[Standing], *, as_json: bool, is_strict: bool = False) -> None:
    """Prints how witnesses stand; exits with 1 when one does not stand well."""
    if as_json:
        print_json([standing.as_dict() for standing in found])
    else:
        print_table(
            ["witness", "kind", "state", "events", "missing", "lag s", "reason"],
            [
                (
                    s.rule.name,
                    s.rule.kind.value,
                    s.state.value,
                    s.size,
                    s.missing,
                    s.lag_s,
                    s.reason,
                )
                for s in found
            ],
            "The policy names no witness: record.witnesses",
        )
    is_good = all(not s.missing and s.is_good if is_strict else s.is_good for s in found)
    if not found or not is_good:
        click.get_current_context().exit(1)
