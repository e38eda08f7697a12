"""Counts downloads for the volume of the day: ``limits.volume`` of the policy.

What is in a file is not known to be of one dataset, so a download counts for every dataset that its
user's kernels have read: an upper estimate, as it is for what kernels show.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError
from cloister.core.modes import Mode
from cloister.core.records import Record
from cloister.core.volume import Amount, Standing
from cloister.store.identity import current_identity
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.volume import VolumeBook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloister.core.policy import Policy
    from cloister.core.volume import Verdict
    from cloister.store.home import Home

_CELL_ENDS: Final = (b",", b";", b"\t", b"|")


class VolumeSpent(CloisterError):
    """A limit of the day has no room for a download, or it cannot be counted."""

    default_code = "CLO-VOLUME-002"


class DownloadVolume:
    """The downloads of one server. Safe to call from threads.

    Args:
        home: The workspace.
        environ: Names the user.
    """

    def __init__(self, home: Home, environ: Mapping[str, str]) -> None:
        self._home, self._environ = home, environ
        self._book = VolumeBook(home)
        self._lock = threading.Lock()

    def charge(self, data: bytes, policy: Policy) -> None:
        """Counts a file that is about to leave.

        Raises:
            VolumeSpent: It may not.
        """
        if not policy.volume or policy.mode is Mode.OBSERVE:
            return
        user = current_identity(self._environ, policy).user
        try:
            with self._lock:
                datasets = self._book.datasets(user)
                verdicts = self._book.charge(user, datasets, policy.volume, amount_of(data))
                for dataset, verdict in verdicts:
                    self._record(user, dataset, verdict)
        except CloisterError as error:
            raise VolumeSpent(
                f"The file did not leave, since it cannot be counted ({error.code}).",
                code="CLO-VOLUME-003",
                rule="limits.volume",
                remedy=error.remedy,
            ) from None
        for dataset, verdict in verdicts:
            if verdict.standing is Standing.OVER:
                raise VolumeSpent(
                    f"With this file you would have seen more than {verdict.most} "
                    f"{verdict.measure.value} of {dataset} a day.",
                    rule=verdict.rule,
                    remedy="Download less of it, or go on after midnight UTC; an admin can raise "
                    "the limit.",
                )

    def _record(self, user: str, dataset: str, verdict: Verdict) -> None:
        kind = "volume.blocked" if verdict.standing is Standing.OVER else "volume.alert"
        body: dict[str, object] = {
            "user": user,
            "dataset": dataset,
            "rule": verdict.rule,
            "most": verdict.most,
            "attested_by": "server",
        }
        with LineageLog(self._home, open_keyring(self._home)) as log:
            log.append([Record(kind, body)])  # type: ignore[arg-type]


def amount_of(data: bytes) -> Amount:
    """Returns what a file shows at most: of text a line is a row, of anything else bytes count."""
    if b"\0" in data:
        return Amount(bytes=len(data))
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    return Amount(lines, lines + sum(map(data.count, _CELL_ENDS)), len(data))
