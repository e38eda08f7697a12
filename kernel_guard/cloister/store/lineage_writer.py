"""How a sidecar appends: by itself while it is alone, through the sequencer when there are others.

A writer that is alone appends to the log directly: nothing is faster, and a first kernel starts no
further process. One that meets another writer (the edge of the tree moved since its last append, or
the log was locked) starts the sequencer of the home and goes on directly until that answers; from
then on all writers of the home share transactions (:mod:`cloister.store.sequencer`).

Whatever happens to the sequencer, an append has one outcome. An answer means that it is durable.
No answer (killed, stopped, gone) means that nobody knows, and the writer appends the same under the
same number by itself; the log finds what was committed already.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cloister.core.errors import StoreUnavailable
from cloister.store.database import LOCKED
from cloister.store.entry import draft
from cloister.store.lineage import LineageLog
from cloister.store.lineage_request import Request, new_client
from cloister.store.sequencer_wire import WireError, decode_answer, encode_request, read_frame
from cloister.store.unixsocket import near

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloister.core.records import Record
    from cloister.store.home import Home
    from cloister.store.keys import Keyring

_log = logging.getLogger(__name__)

_ANSWER_TIMEOUT_S: Final = 20.0
"""Longer than the sequencer itself waits for another writer or for a server that restarts."""

_START_AGAIN_S: Final = 10.0


class LineageWriter:
    """Appends to the record of one workspace. Safe to call from several threads.

    Args:
        home: The workspace.
        keyring: Its keys.
        start: Starts the sequencer of a home without waiting for it.
    """

    def __init__(
        self, home: Home, keyring: Keyring, *, start: Callable[[Home], None] | None = None
    ) -> None:
        self._home = home
        self._keyring = keyring
        self._start = start or start_sequencer
        self._started_at = float("-inf")
        self._mutex = threading.Lock()
        self._direct: LineageLog | None = None
        self._sequencer: socket.socket | None = None
        self._client = new_client()
        self._appends = 0
        self._last_size: int | None = None

    def append(self, records: Sequence[Record]) -> range:
        """Adds events, all or none; they are on the disk when this returns.

        Returns:
            Their numbers.

        Raises:
            StoreUnavailable: As for :meth:`cloister.store.lineage.LineageLog.append`. Where the
                sequencer hung and the log could not be reached without it either, it may still add
                the events when it wakes up: an intent of a cell that was refused, and never ran.
            ValueError: A record is not well formed. Nothing was added.
        """
        drafts = [draft(record) for record in records]
        if not drafts:
            return range(0)
        with self._mutex:
            self._appends += 1
            request = Request(self._client, self._appends, drafts)
            if self._is_connected():
                try:
                    return self._ask(request)
                except (OSError, WireError):
                    self._disconnect()
                    _log.info("The sequencer does not answer; this writer appends by itself.")
            return self._append_directly(request)

    def close(self) -> None:
        """Closes the log and the connection; a later append opens what it needs."""
        with self._mutex:
            self._disconnect()
            if self._direct is not None:
                self._direct.close()
                self._direct = None

    def _is_connected(self) -> bool:
        """Connects to the sequencer if there is one; costs nothing where there is none."""
        if self._sequencer is not None:
            return True
        if not self._home.sequencer_path.exists():
            return False
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_ANSWER_TIMEOUT_S)
            with near(self._home.sequencer_path) as address:
                connection.connect(address)
        except OSError:  # it was killed and left its socket, or is just ending
            connection.close()
            return False
        self._sequencer = connection
        if self._direct is not None:
            self._direct.close()
        return True

    def _ask(self, request: Request) -> range:
        connection = self._sequencer
        if connection is None:  # pragma: no cover - the caller has looked
            raise WireError("not connected")
        connection.sendall(encode_request(request.client, request.number, request.drafts))
        return decode_answer(read_frame(connection.recv))

    def _append_directly(self, request: Request) -> range:
        if self._direct is None:
            self._direct = LineageLog(self._home, self._keyring)
            self._last_size = self._direct.size
        try:
            (entries,) = self._direct.append_group([request])
        except StoreUnavailable as error:
            if error.code == LOCKED:
                self._meet_another()
            raise
        numbers = range(entries[0].seq, entries[-1].seq + 1)
        # Somebody else has appended since this writer did so last: there are two of them.
        if self._last_size is not None and numbers.start > self._last_size:
            self._meet_another()
        self._last_size = numbers.stop
        return numbers

    def _meet_another(self) -> None:
        now = time.monotonic()
        if now - self._started_at < _START_AGAIN_S:
            return
        self._started_at = now
        self._start(self._home)

    def _disconnect(self) -> None:
        connection, self._sequencer = self._sequencer, None
        self._last_size = None
        if connection is not None:
            with suppress(OSError):
                connection.close()


def start_sequencer(home: Home) -> None:
    """Starts the sequencer of a home, in a session of its own: it outlives the kernel that asked.

    Where one runs already, the new one ends at once. A failure is no failure of an append.
    """
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cloister.store.sequencer", str(home.root)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
    except OSError as error:
        _log.warning("The sequencer cannot be started (%s).", type(error).__name__)
        return
    # Waits for it, so that it does not stay as a zombie of a kernel that runs for weeks.
    threading.Thread(target=process.wait, name="sequencer", daemon=True).start()
