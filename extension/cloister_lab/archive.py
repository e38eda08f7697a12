"""The record of a workspace as the server asks it questions."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cloister.store.home import check_private
from cloister.store.lineage_reader import LineageReader
from cloister.store.questions.record import Record

if TYPE_CHECKING:
    from cloister.store.home import Home


class Archive:
    """The record of one home, for questions. Blocking; call it off the event loop.

    Args:
        home: The workspace.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._record = Record(LineageReader(home))
        self._lock = threading.Lock()
        self._is_current = False

    def record(self) -> Record:
        """Returns the record, brought up to date where an older version had made it.

        Raises:
            CloisterError: The home or the record cannot be read.
        """
        check_private(self._home)
        with self._lock:
            if not self._is_current:
                from cloister.store.keys import open_keyring
                from cloister.store.lineage import LineageLog

                LineageLog(self._home, open_keyring(self._home)).close()
                self._is_current = True
        return self._record

    def pseudonyms(self, value: str) -> tuple[str, ...]:
        """Returns the pseudonyms under which a person's value may be in the record.

        Raises:
            CloisterError: The keys or the policy cannot be read.
        """
        from cloister.core.entities import DEFAULT_LEVELS
        from cloister.detect.pseudonyms import pseudonyms_of
        from cloister.detect.tokens import Tokenizer
        from cloister.store.keys import open_keyring
        from cloister.store.policy import load_policy

        keyring = open_keyring(self._home)
        tokenizer = Tokenizer(keyring.token_key, keyring.reversible_key)
        types = {**dict.fromkeys(DEFAULT_LEVELS), **load_policy(self._home).entities}
        return pseudonyms_of(value, tokenizer, types)
