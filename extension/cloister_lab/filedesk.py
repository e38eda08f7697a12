"""Decides about a file where it leaves the server: as it is, masked, or not at all.

The policy, the keys and the stored indexes are read again when they change; what cannot be read
refuses every file. What was looked at is remembered by its content, since size and times of a file
are chosen by whoever writes it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from cloister.core.errors import CloisterError
from cloister.core.filerules import Destination, FileAction
from cloister.core.modes import Mode
from cloister.core.records import Record
from cloister.detect.notebookmarkup import neutralise_notebook
from cloister.detect.outgoingfile import Content, Examined, examine
from cloister.detect.storedindex import Stamp, StoredIndex, load_stored, stamp_of
from cloister.detect.tokens import Tokenizer
from cloister.detect.valuefinder import ValueFinder
from cloister.store.home import check_private
from cloister.store.identity import current_identity
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.policy import load_policy

from cloister_lab.filevolume import DownloadVolume, VolumeSpent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloister.core.policy import Policy
    from cloister.store.home import Home
    from cloister.store.keys import Keyring

_log = logging.getLogger(__name__)

_REMEMBERED: Final = 64
_REMEMBERED_BYTES: Final = 2_000_000  # of one file
_MOST_NAMES: Final = 10_000


class FileRefused(CloisterError):
    """A file that does not leave, or that is not saved."""

    default_code = "CLO-FILES-001"


@dataclass(frozen=True, slots=True)
class Released:
    """What leaves in place of a file.

    Attributes:
        data: Its bytes.
        is_masked: Whether values were taken out of it.
    """

    data: bytes = field(repr=False)
    is_masked: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides now, and a name for it that changes with it."""

    policy: Policy
    finder: ValueFinder
    digest: str


class FileDesk:
    """Looks at the files of one server. Safe to call from threads.

    Args:
        home: The workspace.
        environ: Names the user in records.
    """

    def __init__(self, home: Home, environ: Mapping[str, str]) -> None:
        self._home = home
        self._environ = environ
        self._lock = threading.Lock()
        self._keyring: Keyring | None = None
        self._policy: tuple[object, Policy] | None = None
        self._stored: tuple[Stamp, StoredIndex] | None = None
        self._known: OrderedDict[str, Examined] = OrderedDict()
        self._volume = DownloadVolume(home, environ)
        self._names_told: set[str] = set()

    def release(self, name: str, data: bytes, destination: Destination) -> Released:
        """Returns what may leave of a file.

        Args:
            name: Its name, for the suffix.
            data: All of it.
            destination: Where it goes.

        Raises:
            FileRefused: It does not leave.
        """
        rules = self.rules()
        self.admit(destination, len(data), rules)
        if destination is Destination.DOWNLOAD:
            self._count(data, rules)
        found = self._examined(name, data, rules)
        if found.content is Content.CLEAN:
            return Released(data, is_masked=False)
        action = self._action(found, destination, rules)
        if action is FileAction.ALLOW:
            return Released(data, is_masked=False)
        is_masked = action is FileAction.MASK and found.content is Content.MASKED
        observed = rules.policy.mode is Mode.OBSERVE
        self._record(name, found, destination, "shown" if observed else action.value)
        if observed:
            return Released(data, is_masked=False)
        if not is_masked:
            _refuse(found, destination, rules)
        return Released(found.data, is_masked=True)

    def without_calls(self, notebook: dict[str, Any], destination: Destination) -> dict[str, Any]:
        """Returns a notebook that calls nobody when it is rendered; itself where that is so.

        Args:
            notebook: Of format 4, as JSON.
            destination: Where it goes; in what is exported, Markdown and raw cells are cleaned too.

        Raises:
            FileRefused: The policy cannot be read.
        """
        rules = self.rules()
        if rules.policy.output.allows_scripts:
            return notebook
        has_sources = destination is Destination.DOWNLOAD
        shown = neutralise_notebook(notebook, has_sources=has_sources)
        if rules.policy.mode is not Mode.OBSERVE:
            return shown
        if shown is not notebook:
            self._write("notebook.ipynb", destination, "markup", "shown", {})
        return notebook

    def tell_of_name(self, name: str, rules: Rules) -> None:
        """Records, once for each name, that a listing shows one that holds a value.

        Raises:
            FileRefused: The record cannot be written.
        """
        with self._lock:
            is_new = name not in self._names_told and len(self._names_told) < _MOST_NAMES
            if is_new:
                self._names_told.add(name)
        if is_new:
            entities = Counter(span.entity_type for span in rules.finder.find_in_name(name))
            self._write(name, Destination.VIEW, "name", "shown", entities)

    def admit(self, destination: Destination, size: int | None, rules: Rules | None = None) -> bool:
        """Checks what can be said before a file is read; returns whether it has to be read.

        Args:
            destination: Where it goes.
            size: Bytes, ``None`` when nobody knows.
            rules: What decides, when the caller has it.

        Raises:
            FileRefused: It does not leave, whatever it holds.
        """
        rules = rules or self.rules()
        if rules.policy.mode is Mode.ENCLAVE and destination is Destination.DOWNLOAD:
            raise FileRefused(
                "In enclave mode no file leaves without a release.",
                code="CLO-FILES-007",
                rule="mode",
                remedy="Request a release.",
            )
        files = rules.policy.files
        if size is None or size <= files.most_bytes:
            return True
        if files.unreadable is FileAction.ALLOW or rules.policy.mode is Mode.OBSERVE:
            return False
        raise FileRefused(
            f"The file is larger than the {files.most_bytes:,} bytes that are checked.",
            code="CLO-FILES-003",
            rule="files.most_bytes",
            remedy="Make it smaller, or ask an admin to raise files.most_bytes.",
        )

    def rules(self) -> Rules:
        """Returns what decides now.

        Raises:
            FileRefused: Policy, keys or indexes cannot be read.
        """
        try:
            with self._lock:
                check_private(self._home)
                if self._keyring is None:
                    self._keyring = open_keyring(self._home)
                policy, stored = self._live_policy(), self._live_index(self._keyring)
                keyed = Tokenizer(self._keyring.token_key, self._keyring.reversible_key)
        except (CloisterError, OSError) as error:
            code = error.code if isinstance(error, CloisterError) else type(error).__name__
            raise FileRefused(
                f"Files cannot be checked here now ({code}), so none leaves.",
                code="CLO-FILES-006",
                remedy="Run: cloister doctor",
            ) from None
        finder = ValueFinder(policy, keyed, stored.index)
        return Rules(policy, finder, f"{policy.digest} {stored.digest}")

    def keyed_hash(self, digest: str) -> str:
        """Returns a name for a content that changes with it and cannot be tried out.

        A plain hash of a short file tells what is in it to whoever can guess.
        """
        keyring = self._keyring or open_keyring(self._home)
        key = hashlib.sha256(b"cloister file hash\0" + keyring.index_key).digest()
        return hashlib.blake2b(digest.encode(), key=key, digest_size=32).hexdigest()

    def _live_policy(self) -> Policy:
        found = self._home.policy_path.stat()
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if self._policy is None or self._policy[0] != stamp:
            self._policy = None  # stays so if the next line raises
            self._policy = (stamp, load_policy(self._home))
        return self._policy[1]

    def _live_index(self, keyring: Keyring) -> StoredIndex:
        stamp = stamp_of(self._home.index_dir)
        if self._stored is None or self._stored[0] != stamp:
            self._stored = (stamp, load_stored(self._home.index_dir, keyring.index_key))
            if self._stored[1].damaged:
                _log.warning("%d stored indexes cannot be read", self._stored[1].damaged)
        return self._stored[1]

    def _examined(self, name: str, data: bytes, rules: Rules) -> Examined:
        label = f"{name.lower()}\0{rules.digest}".encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(data, key=hashlib.sha256(label).digest()).hexdigest()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                found = self._known[key]
                # The bytes of a clean file are those that the caller has.
                return Examined(found.content, found.data or data, found.entities)
        found = examine(name, data, rules.finder, most_bytes=rules.policy.files.most_bytes)
        kept = found if found.content is not Content.CLEAN else Examined(Content.CLEAN)
        if len(kept.data) <= _REMEMBERED_BYTES:
            with self._lock:
                self._known[key] = kept
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return found

    @staticmethod
    def _action(found: Examined, destination: Destination, rules: Rules) -> FileAction:
        files = rules.policy.files
        if found.entities and rules.policy.mode is Mode.ENCLAVE:
            return FileAction.BLOCK  # nothing leaves without a release, masked or not
        if found.entities:
            return files.strictest(destination, rules.finder.levels(found.entities))
        return files.unreadable

    def _count(self, data: bytes, rules: Rules) -> None:
        try:
            self._volume.charge(data, rules.policy)
        except VolumeSpent as spent:
            raise FileRefused(
                spent.message, code=spent.code, rule=spent.rule, remedy=spent.remedy
            ) from None

    def _record(self, name: str, found: Examined, destination: Destination, outcome: str) -> None:
        """Records what happened to a file; a file of which that cannot be written stays.

        Raises:
            FileRefused: The record cannot be written.
        """
        self._write(name, destination, found.content.value, outcome, found.entities)

    def _write(
        self,
        name: str,
        destination: Destination,
        content: str,
        outcome: str,
        entities: Mapping[str, int],
    ) -> None:
        rules = self.rules()
        try:
            user = current_identity(self._environ, rules.policy).user
            with LineageLog(self._home, open_keyring(self._home)) as log:
                body: dict[str, object] = {
                    "user": user,
                    "file": rules.finder.mask_name(name),
                    "destination": destination.value,
                    "content": content,
                    "outcome": outcome,
                    "values": dict(entities),
                    "policy_digest": rules.policy.digest,
                    "attested_by": "server",
                }
                log.append([Record("file.leaving", body)])  # type: ignore[arg-type]
        except CloisterError as error:
            raise FileRefused(
                f"What leaves cannot be recorded ({error.code}), so nothing leaves.",
                code="CLO-FILES-006",
                remedy=error.remedy,
            ) from None


def _refuse(found: Examined, destination: Destination, rules: Rules) -> NoReturn:
    if not found.entities:
        raise FileRefused(
            "Nobody can look into this file, so nobody knows what it holds.",
            code="CLO-FILES-002",
            rule="files.unreadable",
            remedy="Save it as text, CSV, Parquet or a picture, or ask an admin to allow "
            "files.unreadable.",
        )
    level = max(rules.finder.levels(found.entities))
    types = ", ".join(sorted(found.entities))
    raise FileRefused(
        f"The file holds {level!s} values ({types}) and cannot leave as it is.",
        rule=f"files.{destination.value}.{level!s}",
        remedy="Write a masked copy with cloister mask, or save it as CSV, which is masked where "
        "it leaves.",
    )
