"""``cloister lineage migrate``: moves the record to PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import click

from cloister.cli.output import json_option, print_json, say
from cloister.cli.workspace import current_home
from cloister.store.keys import open_keyring

_FILE = click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path)


@click.command()
@click.argument("url")
@click.option("--password-file", type=_FILE, help="Private file that holds the password.")
@click.option("--password-env", metavar="NAME", help="Environment variable with the password.")
@json_option
def migrate(
    url: str, password_file: Path | None, password_env: str | None, *, as_json: bool
) -> None:
    """Move the record to the PostgreSQL database at URL, and keep it there.

    URL is postgresql://user@host:port/database, without a password. The database is there already
    and empty; the tables are made. Everything is copied and verified before the record moves.
    Where the record is there already, its tables are brought up to date.
    """
    import yaml

    from cloister.store.lineage_postgres import require_driver
    from cloister.store.store_settings import parse_settings, read_settings

    content = {"url": url}
    if password_file is not None:
        content["password_file"] = str(password_file)
    if password_env is not None:
        content["password_env"] = password_env
    settings = parse_settings(content)
    require_driver()
    from cloister.store.lineage_migrate import make_tables
    from cloister.store.lineage_migrate import migrate as move

    home = current_home()
    if read_settings(home) == settings:
        make_tables(settings)
        if as_json:
            print_json({"events": 0, "root": None})
        else:
            say("The record is there already; its tables are up to date.")
        return
    moved = move(home, open_keyring(home), settings, yaml.safe_dump(content).encode())
    if as_json:
        print_json({"events": moved.events, "root": moved.root})
        return
    say(f"The record is in PostgreSQL: {moved.events} events, whole, root {moved.root}")
    say(f"The old database stays as {moved.old.name}; it is not written any more.")
