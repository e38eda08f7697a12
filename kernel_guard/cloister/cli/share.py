"""``cloister share``: a notebook that may leave, with a receipt; the same check for commits and CI.

Only what a kernel or a program put into a notebook is taken out. What its author wrote is never
changed: values in source are told, and the notebook is not shared.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloister.cli.gitfiles import install_hook, staged_content, staged_files
from cloister.cli.output import json_option, note, print_json, print_table, say
from cloister.cli.sharing import Checked, check_content, shared_copy, sharing_desk
from cloister.cli.workspace import current_home, current_policy
from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from cloister.cli.sharing import SharingDesk
    from cloister.detect.notebooks import Offence

_FOUND: Final = 1


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Where the copy goes.")
@click.option("--check", "is_check", is_flag=True, help="Only say what would be taken out.")
@click.option("--staged", is_flag=True, help="With --check: what is staged, not what lies there.")
@click.option("--verify", is_flag=True, help="Verify the receipts of FILE with --key.")
@click.option("--key", metavar="VERIFIER", help="Verifier line of a workspace, or a file with it.")
@click.option("--base", metavar="REV", help="With --verify: notebooks changed since REV.")
@click.option("--verifier", is_flag=True, help="Print a program that verifies without Cloister.")
@click.option("--install-hook", "is_hook", is_flag=True, help="Check every commit of this clone.")
@json_option
def share(
    files: tuple[Path, ...],
    *,
    out: Path | None,
    is_check: bool,
    staged: bool,
    verify: bool,
    key: str | None,
    base: str | None,
    verifier: bool,
    is_hook: bool,
    as_json: bool,
) -> None:
    """Write a copy of a notebook without the outputs that may not leave, and a receipt for it.

    The copy is FILE.shared.ipynb unless -o says otherwise; all bytes that are not taken out stay.
    Exits with 1 when the notebook cannot be shared, and with --check when something was found.
    """
    if sum((is_check, verify, verifier, is_hook)) > 1 or (staged and not is_check):
        raise click.UsageError("Choose one of --check, --verify, --verifier, --install-hook.")
    if verifier:
        _print_verifier()
        return
    if is_hook:
        say(f"Every commit is checked from now on: {install_hook()}")
        return
    if verify:
        _verify(files, key, base, as_json=as_json)
        return
    home = current_home()
    desk = sharing_desk(home, current_policy(home))
    if is_check:
        _check(files, desk, is_staged=staged, as_json=as_json)
        return
    if len(files) != 1:
        raise click.UsageError("Name one notebook.")
    _share(files[0], out or files[0].with_suffix(".shared.ipynb"), desk, as_json=as_json)


def _share(source: Path, target: Path, desk: SharingDesk, *, as_json: bool) -> None:
    content = _read(source)
    checked = check_content(source.name, content, desk)
    if checked.scan is None:
        raise CloisterError(
            "The file is no notebook.",
            code="CLO-SHARE-001",
            remedy="Other files are checked with --check, and masked with cloister mask.",
        )
    rows = _rows(checked)
    if checked.is_blocked:
        if as_json:
            print_json({"shared": False, "stripped": [], "blocking": rows})
        else:
            print_table(("cell", "number", "part", "why", "is"), _cells(rows), "")
            note("CLO-SHARE-002: The notebook holds values in what its author wrote.")
            note("Take them out of the cells above; they are never changed by a machine.")
        click.get_current_context().exit(_FOUND)
    copy, receipt = shared_copy(content, checked, desk)
    place = _write(target, copy, receipt)
    if as_json:
        print_json({"shared": True, "file": str(target), "receipt": place, "stripped": rows})
        return
    print_table(
        ("cell", "number", "part", "why", "is"), _cells(rows), "Nothing had to be taken out."
    )
    say(f"{target} may leave; its receipt is {place}")


def _check(files: tuple[Path, ...], desk: SharingDesk, *, is_staged: bool, as_json: bool) -> None:
    if not files and not is_staged:
        raise click.UsageError("Name files, or use --staged.")
    names = [str(file) for file in files]
    found: dict[str, list[dict[str, Any]]] = {}
    if is_staged:
        # What is committed is what is staged; the file beside it may be another by now.
        contents = [(name, staged_content(blob)) for name, blob in staged_files(names)]
    else:
        contents = [(name, _read(Path(name))) for name in names]
    for name, content in contents:
        rows = _rows(check_content(name, content, desk))
        if rows:
            found[desk.finder.mask_name(name)] = rows
    if as_json:
        print_json({"checked": len(contents), "found": found})
    else:
        table = [(name, *cells) for name, rows in found.items() for cells in _cells(rows)]
        columns = ("file", "cell", "number", "part", "why", "is")
        print_table(columns, table, f"{len(contents)} files hold nothing that may not leave.")
    if found:
        click.get_current_context().exit(_FOUND)


def _verify(files: tuple[Path, ...], key: str | None, base: str | None, *, as_json: bool) -> None:
    import subprocess

    from cloister.store import receipt_verifier as verifier

    if key is None or not (files or base):
        raise click.UsageError("Name files or --base, and the --key of who signed.")
    try:
        line = verifier.read_key(key)
        verifier.parse_key(line)
    except (OSError, verifier.ReceiptInvalid):
        raise CloisterError(
            "The key is no verifier key of a workspace.",
            code="CLO-SHARE-005",
            remedy="cloister keys status prints it in the workspace that signed.",
        ) from None
    reasons: dict[str, str] = {}
    for name in map(str, files):
        reasons[name] = verifier.check(
            verifier.read(name), verifier.read(name + verifier.SUFFIX), line
        )
    try:
        for name in verifier.changed_notebooks(base) if base else ():
            content, receipt = verifier.committed(name), verifier.committed(name + verifier.SUFFIX)
            reasons[name] = verifier.check(content, receipt, line)
    except (subprocess.CalledProcessError, OSError, verifier.ReceiptInvalid):
        raise CloisterError(
            "Git does not say what changed.",
            code="CLO-SHARE-003",
            remedy="Run it inside the repository, with a revision that is there.",
        ) from None
    is_ok = not any(reasons.values())
    if as_json:
        print_json({"ok": is_ok, "files": [{"file": n, "why": w} for n, w in reasons.items()]})
    else:
        rows = [(name, why or "its receipt holds") for name, why in reasons.items()]
        print_table(("file", "result"), rows, "No notebook changed.")
    if not is_ok:
        click.get_current_context().exit(_FOUND)


def _print_verifier() -> None:
    from importlib.resources import files

    source = files("cloister.store").joinpath("receipt_verifier.py").read_text("utf-8")
    click.echo(source, nl=False)


def _rows(checked: Checked) -> list[dict[str, Any]]:
    if checked.scan is None:
        return list(checked.problems)
    return [*checked.problems, *(_row(offence) for offence in checked.scan.offences)]


def _row(offence: Offence) -> dict[str, Any]:
    return {
        "cell": offence.cell,
        "number": offence.number or None,
        "part": offence.part.value,
        "values": offence.entities,
        "stripped": offence.is_cut,
    }


def _cells(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (
            row.get("cell"),
            row.get("number"),
            row["part"],
            ", ".join(f"{kind} x{count}" for kind, count in row["values"].items()) or "unreadable",
            "taken out" if row["stripped"] else "in the way",
        )
        for row in rows
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unusable("read", error) from None


def _write(target: Path, copy: bytes, receipt: str) -> str:
    from cloister.store.receipts import SUFFIX

    place = target.with_name(target.name + SUFFIX)
    try:
        # The receipt of an earlier copy must not stand beside this one, whatever happens.
        place.unlink(missing_ok=True)
        target.write_bytes(copy)
        place.write_text(receipt, "utf-8")
    except OSError as error:
        raise _unusable("written", error) from None
    return str(place)


def _unusable(what: str, error: OSError) -> CloisterError:
    return CloisterError(
        f"A file cannot be {what} ({type(error).__name__}).",
        code="CLO-SHARE-006",
        remedy="Check the path and its permissions.",
    )
