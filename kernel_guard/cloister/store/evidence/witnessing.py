"""Keeps the witnesses up to date, beside the cells and never in their way.

Every guard of a home runs one :class:`Witnessing`; a lock lets one of them ask at a time, and the
others only look. A witness is asked for the newest checkpoint alone, so one that was away for a day
has one request to catch up on, not a queue. After a failure it is left alone for longer and longer.

What a cell meets is :meth:`Witnessing.check`: it looks at what the last round found. Only where the
policy says ``on_lag: refuse`` does it refuse, and then also when the rounds themselves stopped.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError, StoreUnavailable
from cloister.core.recordrules import OnLag, WitnessKind
from cloister.store.evidence.answers import WitnessConflict, WitnessUnavailable
from cloister.store.evidence.memory import Memories
from cloister.store.evidence.reader import EvidenceReader
from cloister.store.evidence.standing import Standing, State, standings
from cloister.store.files import PRIVATE_DIR, PRIVATE_FILE
from cloister.store.keys import PUBLIC_FILE, parse_public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloister.core.recordrules import RecordRules, WitnessRule
    from cloister.store.checkpoint import Verifier
    from cloister.store.evidence.answers import Receipt
    from cloister.store.evidence.memory import Memory
    from cloister.store.home import Home
    from cloister.store.keys import Keyring

_log = logging.getLogger(__name__)

_ROUND_S: Final = 1.0
_LONGEST_WAIT_S: Final = 300
_FIRST_ROUND_S: Final = 30.0
_LAST_ROUND_S: Final = 3.0
_STOPPED_AFTER_S: Final = 120.0


class WitnessLate(CloisterError):
    """A witness is late or contradicts the record, and the policy stops executions then."""

    default_code = "CLO-WITNESS-001"


class Witnessing:
    """Asks the witnesses of one home and says how they stand.

    Args:
        home: The workspace.
        keyring: Its keys; only the public one is used.
        rules: Returns the policy's rules of now.
        now_s: Clock, seconds since 1970.
    """

    def __init__(
        self,
        home: Home,
        keyring: Keyring,
        rules: Callable[[], RecordRules],
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._rules = rules
        self._now_s = now_s
        self._verifier = keyring.verifier
        self._public = home.keys_dir / PUBLIC_FILE
        self._memories = Memories(home)
        self._reader = EvidenceReader(home)
        self._bad: tuple[Standing, ...] = ()
        self._round_s = 0.0
        self._first_round = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witnesses", daemon=True)

    def start(self) -> None:
        """Begins to ask, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Asks once more, as far as that is quick, and ends."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_LAST_ROUND_S)

    def check(self) -> None:
        """Refuses where the policy stops executions and a witness is late or contradicts.

        Raises:
            WitnessLate: A witness is late, or it is not known whether one is (``CLO-WITNESS-001``),
                or one contradicts the record (``-002``).
        """
        rules = self._rules()
        if rules.on_lag is OnLag.REPORT or not rules.witnesses:
            return
        if not self._first_round.wait(_FIRST_ROUND_S) or (
            time.monotonic() - self._round_s > _STOPPED_AFTER_S
        ):
            raise WitnessLate(
                "It is not known how far the witnesses of the record are.",
                rule="record.on_lag",
                remedy="Run: cloister witness status. Then restart the kernel.",
            )
        for standing in self._bad:
            raise _refusal(standing)

    def round(self, *, is_forced: bool = False, waits: bool = False) -> list[Standing]:
        """Asks every witness whose turn it is, and returns how all stand.

        Args:
            is_forced: Whether it is everybody's turn.
            waits: Whether to wait while another process asks, or to look on.

        Raises:
            StoreUnavailable: The log cannot be read.
            OSError: What the witnesses say cannot be remembered.
        """
        rules, found = self._rules(), []
        if rules.witnesses:
            with self._turn(waits=waits) as is_ours:
                for rule in rules.witnesses if is_ours else ():
                    self._visit(rule, is_forced=is_forced)
            found = standings(rules, self._memories, self._reader, self._now_s())
        self._bad = tuple(standing for standing in found if not standing.is_good)
        self._round_s = time.monotonic()
        self._first_round.set()
        return found

    def _run(self) -> None:
        pause_s, is_last, was_good = 0.0, False, True
        # The first time and the last everybody is asked: an old copy of the home that was put back
        # believes itself up to date.
        while not is_last:
            is_last = self._stopping.wait(pause_s)
            try:
                self.round(is_forced=is_last or not pause_s)
                was_good = True
            except Exception as error:  # noqa: BLE001 - it is tried again; check() sees that it failed
                if was_good:
                    _log.warning("The witnesses could not be asked (%s).", type(error).__name__)
                was_good = False
            pause_s = _ROUND_S
        self._reader.close()

    def _visit(self, rule: WitnessRule, *, is_forced: bool) -> None:
        memory, now_s = self._memories.of(rule), int(self._now_s())
        head = self._reader.head()
        if head is None or not (is_forced or _is_turn(rule, memory, head.size, now_s)):
            return
        try:
            self._memories.accept(rule, memory, self._ask(rule, memory, now_s), now_s)
        except WitnessConflict as conflict:
            if not memory.conflict:
                _log.error("CLO-WITNESS-002: the witness %s: %s.", rule.name, conflict)
            failed = replace(memory, conflict=str(conflict), problem="")
            self._memories.save(rule.name, replace(failed, tried_s=now_s, failures=9))
        except StoreUnavailable:
            raise  # the log's trouble, not the witness's
        except (WitnessUnavailable, CloisterError) as error:
            reason = error.message if isinstance(error, CloisterError) else str(error)
            failed = replace(memory, problem=reason, failures=memory.failures + 1)
            self._memories.save(rule.name, replace(failed, tried_s=now_s))

    def _ask(self, rule: WitnessRule, memory: Memory, now_s: int) -> Receipt:
        # HTTP and its like cost a guard that has no witnesses a tenth of a second at its start.
        from cloister.store.evidence import clients

        match rule.kind:
            case WitnessKind.FILE:
                return clients.append_to_file(rule, self._reader, self._signers(), now_s)
            case WitnessKind.COSIGNER:
                return clients.ask_cosigner(rule, self._reader, memory.size, now_s)
            case WitnessKind.TIMESTAMP:
                return clients.ask_authority(rule, self._reader)

    def _signers(self) -> Verifier:
        """Returns who signs the record now; the key may be replaced while this runs for weeks."""
        try:
            now = parse_public(self._public.read_text("ascii"))
        except (OSError, UnicodeDecodeError, CloisterError):
            return self._verifier
        if self._verifier.public_key in [era.public_key for era in now.eras]:
            self._verifier = now
        return self._verifier

    @contextmanager
    def _turn(self, *, waits: bool) -> Iterator[bool]:
        """Yields whether this process may ask; another one may be asking already."""
        self._memories.directory.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        name = self._memories.directory / ".lock"
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            is_ours = False
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
                is_ours = True
            yield is_ours
        finally:
            os.close(descriptor)


def _is_turn(rule: WitnessRule, memory: Memory, size: int, now_s: int) -> bool:
    """Returns whether a witness should be asked now: something is new and it is time."""
    # A clock that went back must not silence a witness: a time to come counts as long ago.
    since_s = now_s - memory.tried_s if memory.tried_s <= now_s else rule.every_s
    if memory.failures:
        return since_s >= min(1 << min(memory.failures, 9), _LONGEST_WAIT_S)
    missing = size - memory.size
    if memory.size > size:
        return since_s >= rule.every_s  # the log became shorter: let the witness say so
    return missing > 0 and (since_s >= rule.every_s or missing >= rule.every_events)


def _refusal(standing: Standing) -> WitnessLate:
    name = standing.rule.name
    if standing.state is State.CONFLICT:
        return WitnessLate(
            f"The witness {name} contradicts the record: {standing.reason}.",
            code="CLO-WITNESS-002",
            rule=standing.rule.id,
            remedy="Keep all files as evidence and find out which of the two is right.",
        )
    return WitnessLate(
        f"The witness {name} has not seen the last {standing.missing} events of the record.",
        rule=standing.rule.id,
        remedy="Run: cloister witness status",
    )
