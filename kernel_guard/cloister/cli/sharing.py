"""What may be shared: one file checked against everything that the workspace knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cloister.core.errors import CloisterError
from cloister.detect.jsonplaces import JsonUnclear
from cloister.detect.notebookcuts import cut
from cloister.detect.notebooks import NotebookScan, scan_notebook
from cloister.detect.outgoingfile import Content, examine
from cloister.detect.storedindex import load_stored
from cloister.detect.tokens import Tokenizer
from cloister.detect.valuefinder import ValueFinder
from cloister.store.keys import open_keyring
from cloister.store.receipts import sign_receipt

if TYPE_CHECKING:
    from cloister.core.policy import Policy
    from cloister.core.records import Json
    from cloister.store.home import Home
    from cloister.store.keys import Keyring


@dataclass(frozen=True, slots=True)
class SharingDesk:
    """What checks and signs.

    Attributes:
        policy: In force.
        finder: Finds values.
        index_digest: Which values of data are known.
        known: How many.
        keyring: Signs.
    """

    policy: Policy
    finder: ValueFinder
    index_digest: str
    known: int
    keyring: Keyring


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in a file.

    Attributes:
        scan: Of a notebook; ``None`` for other files.
        problems: What is in the way and no part of a notebook, as rows.
    """

    scan: NotebookScan | None
    problems: tuple[dict[str, Any], ...]

    @property
    def is_blocked(self) -> bool:
        """Returns whether something is in the way that cannot be taken out."""
        return bool(self.problems) or (self.scan is not None and bool(self.scan.blocking))


def sharing_desk(home: Home, policy: Policy) -> SharingDesk:
    """Opens the workspace for checking.

    Raises:
        CloisterError: Its keys cannot be used, or a stored index is damaged.
    """
    keyring = open_keyring(home)
    stored = load_stored(home.index_dir, keyring.index_key)
    if stored.damaged:
        raise CloisterError(
            "Some known values cannot be read, so nobody can say that a file is clean.",
            code="CLO-DETECT-004",
            remedy="Remove the damaged files in store/index of the workspace; they are made again "
            "when their data is read.",
        )
    keyed = Tokenizer(keyring.token_key, keyring.reversible_key)
    finder = ValueFinder(policy, keyed, stored.index)
    return SharingDesk(policy, finder, stored.digest, len(stored.index), keyring)


def check_content(name: str, content: bytes, desk: SharingDesk) -> Checked:
    """Returns what is in a file that may not leave.

    Args:
        name: Its name, which is looked at, too.
        content: All of it.
        desk: Finds.

    Raises:
        JsonUnclear: It is called a notebook and cannot be read in exactly one way.
    """
    problems: list[dict[str, Any]] = []
    if desk.finder.mask_name(name) != name:
        problems.append({"part": "name", "values": {"NAME": 1}, "stripped": False})
    if name.lower().endswith(".ipynb"):
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            raise JsonUnclear("The file is not encoded in UTF-8.") from None
        return Checked(scan_notebook(text, desk.finder.find), tuple(problems))
    found = examine(name, content, desk.finder, most_bytes=desk.policy.files.most_bytes)
    if found.content is not Content.CLEAN:
        problems.append({"part": "file", "values": found.entities, "stripped": False})
    return Checked(None, tuple(problems))


def shared_copy(content: bytes, checked: Checked, desk: SharingDesk) -> tuple[bytes, str]:
    """Returns a notebook without what offends, and the receipt for it.

    The copy is checked again before it is signed.

    Raises:
        CloisterError: The copy still holds something (``CLO-SHARE-002``).
    """
    scan = checked.scan
    if scan is None or checked.is_blocked:
        raise _blocked()
    copy = cut(scan.text, scan.offences).encode("utf-8") if scan.offences else content
    again = scan_notebook(copy.decode("utf-8"), desk.finder.find)
    if again.offences:
        raise _blocked()
    facts: dict[str, Json] = {
        "kind": "notebook",
        "result": "clean",
        "policy": desk.policy.name,
        "policy_sha256": desk.policy.digest,
        "index_sha256": desk.index_digest,
        "known_values": desk.known,
        "checked": ["patterns", "known values", "encodings", "across outputs", "picture metadata"],
        "cells": again.cells,
        "outputs": again.outputs,
        "stripped": len(scan.offences),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cloister": version("cloister"),
    }
    return copy, sign_receipt(copy, facts, desk.keyring)


def _blocked() -> CloisterError:
    return CloisterError(
        "The notebook holds values that cannot be taken out of it.",
        code="CLO-SHARE-002",
        remedy="Take them out of the cells that cloister share --check names.",
    )
