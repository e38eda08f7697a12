"""Where a workspace keeps its state, and that only its owner can reach it.

The home holds the policy, keys, record and budgets, so it must be private (mode 0700, owned by
this account). A home is initialised once: a policy or key that is missing *later* is an error of
whoever reads it, never a reason to write a default again, because a silent default could be weaker
than what an admin had decided.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloister.core.errors import CloisterError
from cloister.store.files import PRIVATE_DIR, create_exclusive, locked

if TYPE_CHECKING:
    from collections.abc import Mapping

HOME_VARIABLE = "CLOISTER_HOME"


class HomeError(CloisterError):
    """The workspace's home is missing, not private, or cannot be written."""

    default_code = "CLO-HOME-001"


@dataclass(frozen=True, slots=True)
class Home:
    """A workspace's directory.

    Attributes:
        root: Absolute path with symbolic links resolved.
    """

    root: Path

    @property
    def policy_path(self) -> Path:
        """The live policy, YAML."""
        return self.root / "policy.yaml"

    @property
    def policy_cache(self) -> Path:
        """The live policy as validated JSON; a copy that may be deleted at any time."""
        return self.root / "store" / "policy-cache.json"

    @property
    def policy_history(self) -> Path:
        """Every version of the policy that was live."""
        return self.root / "store" / "policy-history"

    @property
    def keys_dir(self) -> Path:
        """Workspace key, signing key and its public half."""
        return self.root / "keys"

    @property
    def lineage_path(self) -> Path:
        """The lineage log, SQLite."""
        return self.root / "store" / "lineage.db"

    @property
    def store_settings_path(self) -> Path:
        """Says where the record is when it is not here (:mod:`cloister.store.store_settings`)."""
        return self.root / "store.yaml"

    @property
    def key_settings_path(self) -> Path:
        """Says who holds the key above the workspace's keys (:mod:`cloister.store.keysettings`)."""
        return self.root / "keys.yaml"

    @property
    def sequencer_path(self) -> Path:
        """Socket of the process that appends for all writers, while there is one."""
        return self.root / "store" / "sequencer.sock"

    @property
    def ledger_path(self) -> Path:
        """The privacy budget ledger, SQLite."""
        return self.root / "store" / "ledger.db"

    @property
    def catalog_path(self) -> Path:
        """The dataset catalogue, JSON."""
        return self.root / "store" / "catalog.json"

    @property
    def index_dir(self) -> Path:
        """Keyed digests of sensitive values, for exact matches."""
        return self.root / "store" / "index"

    @property
    def witness_path(self) -> Path:
        """The newest signed checkpoint, kept outside the database."""
        return self.root / "witness" / "checkpoint"

    @property
    def run_dir(self) -> Path:
        """One directory for each running kernel."""
        return self.root / "run"

    @property
    def marker_path(self) -> Path:
        """Exists once the home is complete."""
        return self.root / "store" / "initialised"


def locate_home(environ: Mapping[str, str]) -> Home:
    """Returns the home that an environment names, without touching it.

    Args:
        environ: ``CLOISTER_HOME`` counts when it is set and not empty; otherwise the home is
            ``cloister`` in the platform's user state directory.
    """
    named = environ.get(HOME_VARIABLE, "")
    if named:
        return Home(Path(named).expanduser().resolve())
    from platformdirs import user_state_dir  # 30 ms: only where no home is named

    return Home(Path(user_state_dir("cloister", appauthor=False)).resolve())


def ensure_home(home: Home) -> Home:
    """Makes a complete private home, or checks the one that is there.

    Safe to call from processes that race: they agree on one policy and one set of keys.

    Raises:
        HomeError: It is reachable by other accounts (``CLO-HOME-001``), or cannot be made
            (``CLO-HOME-002``).
    """
    try:
        home.root.parent.mkdir(parents=True, exist_ok=True)
        home.root.mkdir(mode=PRIVATE_DIR, exist_ok=True)
        check_private(home)
        if not home.marker_path.exists():
            with locked(home.root / ".lock"):
                _initialise(home)
        else:
            _make_directories(home)
    except OSError as error:
        raise HomeError(
            f"The workspace's home cannot be made or read ({os.strerror(error.errno or 0)}).",
            code="CLO-HOME-002",
            remedy=f"Set {HOME_VARIABLE} to a directory that this account can write.",
        ) from error
    return home


def check_private(home: Home) -> None:
    """Checks that the home belongs to this account and that no other account can enter it.

    Raises:
        HomeError: It does not exist, or is not private.
    """
    try:
        status = home.root.lstat()
    except FileNotFoundError:
        raise HomeError(
            "There is no workspace here yet.", code="CLO-HOME-003", remedy="Run: cloister init"
        ) from None
    except OSError as error:
        raise HomeError(
            f"The workspace's home cannot be read ({os.strerror(error.errno or 0)}).",
            code="CLO-HOME-002",
            remedy=f"Set {HOME_VARIABLE} to a directory that this account can write.",
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise HomeError(
            "The workspace's home is not a directory.",
            remedy=f"Set {HOME_VARIABLE} to a directory of its own.",
        )
    if status.st_uid != os.geteuid():
        raise HomeError(
            "The workspace's home belongs to another account, which could change policy and keys.",
            remedy=f"Run as its owner, or set {HOME_VARIABLE} to a directory of this account.",
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise HomeError(
            "Other accounts can reach the workspace's home "
            f"(mode {stat.S_IMODE(status.st_mode):04o}).",
            remedy="Run chmod 700 on it, then check who read its keys in the meantime.",
        )


def _initialise(home: Home) -> None:
    """Fills a new home; called with the lock held. What is already there stays as it is."""
    if home.marker_path.exists():
        return
    from importlib.resources import files

    from cloister.store.keys import create_keys

    _make_directories(home)
    default = files("cloister.core").joinpath("default_policy.yaml").read_bytes()
    create_exclusive(home.policy_path, default)
    create_keys(home)
    create_exclusive(home.marker_path, b"1\n")


def _make_directories(home: Home) -> None:
    for path in (
        home.keys_dir,
        home.marker_path.parent,
        home.index_dir,
        home.policy_history,
        home.witness_path.parent,
        home.run_dir,
    ):
        path.mkdir(mode=PRIVATE_DIR, exist_ok=True)
