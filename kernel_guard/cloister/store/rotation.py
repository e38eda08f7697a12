"""Rotates the workspace's keys while kernels go on appending; safe to be killed at any moment.

A rotation of the workspace key is these steps. Each leaves a workspace that works, each finds out
whether it was done already, so an interrupted rotation is finished by starting it again:

1. the provider makes a new version of its key, where it can;
2. a key of the next generation goes into ``workspace.key``, beside the one in force; the file is
   wrapped anew by the provider that the workspace has, or moves to;
3. one transaction announces it (``keys.rotated``) and tells every writer, through the head, to wrap
   new data keys with it;
4. older data keys are unwrapped and wrapped anew, some thousands in one transaction; no payload and
   no hash changes;
5. when none is left, ``keys.retired`` is recorded and the older generations leave the file.

Replacing the signing key has its order in :mod:`cloister.store.signing`. Every step is an event.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from cloister.core.records import Record
from cloister.store.files import locked, write_atomic
from cloister.store.keyfile import (
    KEY_BYTES,
    SigningKey,
    SigningKeys,
    WorkspaceKeys,
    encode_signing,
    encode_workspace,
    wrappers_of,
)
from cloister.store.keyproviders.choice import provider_for
from cloister.store.keyproviders.provider import KeyProviderError
from cloister.store.keys import (
    PUBLIC_FILE,
    SIGNING_FILE,
    WORKSPACE_FILE,
    open_keyring,
    read_key_file,
)
from cloister.store.keysettings import parse_key_settings
from cloister.store.lineage import LineageLog
from cloister.store.lineage_request import Change
from cloister.store.payloads import PayloadBox, missing_generation
from cloister.store.signing import add_signer, announcement, promote_signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.core.records import Json
    from cloister.store.home import Home
    from cloister.store.keyproviders.provider import KeyProvider
    from cloister.store.keys import Keyring
    from cloister.store.lineage_store import LineageStore

ROTATED: Final = "keys.rotated"
RETIRED: Final = "keys.retired"
MOVED: Final = "keys.moved"
_AT_ONCE: Final = 1_000  # data keys in one transaction: about 20 ms in which others wait


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did.

    Attributes:
        generation: The workspace key in force.
        rewrapped: Data keys that were wrapped anew.
        signer: Id of the signing key in force.
        provider: Who wraps the keys now, and what it did.
    """

    generation: int
    rewrapped: int
    signer: str
    provider: str


class Rotation:
    """Rotates the keys of one workspace.

    Args:
        home: The workspace.
        actor: Who does it and who attests it, for each event.
        on_step: Called after each step with its name; tests stop there.
    """

    def __init__(
        self, home: Home, actor: dict[str, Json], on_step: Callable[[str], None] = lambda _: None
    ) -> None:
        self._home = home
        self._actor = actor
        self._on_step = on_step

    def run(self, *, signing: bool = False, settings: bytes | None = None) -> Rotated:
        """Rotates; what an earlier run left undone is done first.

        Args:
            signing: Whether the signing key is replaced, too.
            settings: The ``keys.yaml`` of the provider that the keys move to; ``b""`` for none.

        Raises:
            KeyringError, KeySettingsInvalid, KeyProviderError: Keys cannot be opened or wrapped.
            StoreUnavailable: The record cannot be written; nothing is rotated unrecorded.
            OSError: A key file cannot be written.
        """
        with locked(self._home.keys_dir / ".rotation"):
            said = self._settle_provider(settings)
            keyring = open_keyring(self._home)
            with LineageLog(self._home, keyring) as log:
                if len(keyring.workspace_keys.generations) == 1:
                    if settings is None and keyring.provider is not None:
                        said = keyring.provider.rotate()
                        self._on_step("provider")
                    self._add_generation(keyring.provider)
                    self._on_step("generation")
                self._announce(log)
                self._on_step("announced")
                rewrapped = self._rewrap(log)
                self._retire(log, rewrapped)
                self._on_step("retired")
                if signing or len(open_keyring(self._home).signing_keys.keys) > 1:
                    self._replace_signer(log)
            keyring = open_keyring(self._home)
            in_force = keyring.signing_keys.keys[0].identifier
            return Rotated(max(keyring.workspace_keys.generations), rewrapped, in_force, said)

    def _settle_provider(self, settings: bytes | None) -> str:
        """Sees to it that the key files are wrapped by the provider that they are to have."""
        home = self._home
        following = provider_for(parse_key_settings(settings)) if settings else None
        keyring = open_keyring(home, may_be_plain=True)
        if settings is not None:
            _refuse_to_leave(keyring)
            self._write_keys([keyring.provider, following])
            self._on_step("wrapped twice")
            if settings:
                write_atomic(home.key_settings_path, settings)
            else:
                home.key_settings_path.unlink(missing_ok=True)
            self._on_step("settings")
            keyring = open_keyring(home)
        name = "machine" if keyring.provider is None else keyring.provider.name
        files = [read_key_file(home, file, "key") for file in (WORKSPACE_FILE, SIGNING_FILE)]
        if all(wrappers_of(text) == [name] for text in files):
            return f"{name}, as before"
        self._write_keys([keyring.provider])
        self._on_step("wrapped once")
        with LineageLog(home, open_keyring(home)) as log:
            log.append([Record(MOVED, {**self._actor, "provider": name})])
        return f"{name}, which wraps the keys from now on"

    def _write_keys(
        self,
        providers: list[KeyProvider | None],
        change: Callable[[WorkspaceKeys], WorkspaceKeys] = lambda keys: keys,
    ) -> None:
        with locked(self._home.keys_dir / ".lock"):
            keyring = open_keyring(self._home, may_be_plain=True)
            signing = keyring.signing_keys
            keys = tuple(
                SigningKey(key.identifier, keyring.public_of(key), key.seed, key.label)
                for key in signing.keys
            )
            signing = SigningKeys(signing.origin, keys, signing.successions)
            directory = self._home.keys_dir
            workspace = encode_workspace(change(keyring.workspace_keys), providers)
            write_atomic(directory / WORKSPACE_FILE, workspace)
            write_atomic(directory / SIGNING_FILE, encode_signing(signing, providers))

    def _add_generation(self, provider: KeyProvider | None) -> None:
        def added(keys: WorkspaceKeys) -> WorkspaceKeys:
            following = max(keys.generations) + 1
            generations = {**keys.generations, following: os.urandom(KEY_BYTES)}
            return WorkspaceKeys(keys.root, generations)

        self._write_keys([provider], added)

    def _announce(self, log: LineageLog) -> None:
        """Tells every writer to go on with the newest generation, and records that."""
        newest = max(open_keyring(self._home).workspace_keys.generations)
        if log.generation == newest:
            return
        provider = open_keyring(self._home).provider
        name = "machine" if provider is None else provider.name
        body: dict[str, Json] = {**self._actor, "generation": newest, "provider": name}

        def apply(store: LineageStore, _: int) -> None:
            row = store.execute("SELECT generation FROM head").fetchone()
            if row[0] >= newest:  # another machine of this record rotated at the same time
                raise missing_generation()
            store.execute("UPDATE head SET generation = :generation", {"generation": newest})

        log.change(Change(lambda _: Record(ROTATED, body), apply))

    def _rewrap(self, log: LineageLog) -> int:
        """Wraps all older data keys with the newest generation; returns how many."""
        keyring = open_keyring(self._home)
        newest = max(keyring.workspace_keys.generations)
        box = PayloadBox(keyring)
        done, after = 0, -1
        while True:
            moved = log.beside(partial(_rewrap_some, box=box, newest=newest, after=after))
            done += moved.count
            self._on_step("rewrapped")
            if moved.last is None:
                return done
            after = moved.last

    def _retire(self, log: LineageLog, rewrapped: int) -> None:
        keyring = open_keyring(self._home)
        keys = keyring.workspace_keys
        newest = max(keys.generations)
        older = [generation for generation in keys.generations if generation != newest]
        if not older:
            return
        retired: list[Json] = [*older]
        body: dict[str, Json] = {"generation": newest, "retired": retired, "rewrapped": rewrapped}
        log.append([Record(RETIRED, {**self._actor, **body})])
        self._on_step("recorded")
        kept = {newest: keys.generations[newest]}
        self._write_keys([keyring.provider], lambda keys: WorkspaceKeys(keys.root, kept))

    def _replace_signer(self, log: LineageLog) -> None:
        keyring = add_signer(self._home)
        self._on_step("next signer")
        following = keyring.signing_keys.keys[-1].identifier
        if log.signer != following:

            def apply(store: LineageStore, _: int) -> None:
                store.execute("UPDATE head SET signer = :signer", {"signer": following})

            log.change(Change(lambda seq: announcement(keyring, self._actor, seq), apply))
            self._on_step("signer announced")
        log.beside(lambda store: promote_signer(self._home, store, following))
        text = open_keyring(self._home).public_text.encode()
        write_atomic(self._home.keys_dir / PUBLIC_FILE, text)
        self._on_step("signer")


@dataclass(frozen=True, slots=True)
class _Moved:
    count: int
    last: int | None


def _rewrap_some(store: LineageStore, *, box: PayloadBox, newest: int, after: int) -> _Moved:
    rows = store.execute(
        "SELECT seq, generation, wrapped FROM data_key WHERE seq > :after AND generation < :newest"
        " ORDER BY seq LIMIT :limit",
        {"after": after, "newest": newest, "limit": _AT_ONCE},
    ).fetchall()
    renewed = []
    for seq, generation, wrapped in rows:
        data_key = box.unwrap(seq, (generation, bytes(wrapped)))
        if data_key is None:
            raise missing_generation()
        renewed.append({"seq": seq, "g": newest, "wrapped": box.wrap(newest, seq, data_key)})
    store.execute_many(
        "UPDATE data_key SET generation = :g, wrapped = :wrapped WHERE seq = :seq", renewed
    )
    return _Moved(len(rows), rows[-1][0] if rows else None)


def _refuse_to_leave(keyring: Keyring) -> None:
    """Refuses to leave a provider while it holds the key that signs the record."""
    if any(key.seed is None for key in keyring.signing_keys.keys):
        raise KeyProviderError(
            "The key that signs the record is in the provider that the keys would leave.",
            code="CLO-KEYS-011",
            remedy="Take signing_key out of keys.yaml, run: cloister keys rotate --signing-key; "
            "then the signing key is wrapped like the others.",
        )
