"""The workspace that a command works on, and the record of what a command changes in it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloister.store.home import Home, ensure_home, locate_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloister.core.policy import Policy
    from cloister.core.records import Json


def current_home() -> Home:
    """Returns the home of this environment, made if there is none.

    Raises:
        HomeError: It is not private or cannot be made.
    """
    return ensure_home(locate_home(os.environ))


def current_policy(home: Home) -> Policy:
    """Returns the live policy.

    Raises:
        PolicyRejected: It is not valid.
    """
    from cloister.store.policy import load_policy

    return load_policy(home)


@contextmanager
def recorded_change(home: Home) -> Iterator[Callable[[str, dict[str, Json]], None]]:
    """Opens the record before a change is made, so that nothing changes unrecorded.

    Yields:
        A function that appends one record with the name of who makes the change.

    Raises:
        StoreUnavailable: The record cannot be written; make no change then.
    """
    from cloister.core.records import Record
    from cloister.store.identity import current_identity
    from cloister.store.keys import open_keyring
    from cloister.store.lineage import LineageLog
    from cloister.store.policy import load_policy

    try:
        user: str | None = current_identity(os.environ, load_policy(home)).user
    except Exception:  # noqa: BLE001 - an invalid policy must not keep an admin from repairing it
        user = None
    with LineageLog(home, open_keyring(home)) as log:

        def record(kind: str, body: dict[str, Json]) -> None:
            log.append([Record(kind, {"user": user, "attested_by": "cli", **body})])

        yield record
