"""Puts the way out of one kernel together: authority, decider, process, record."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from cloister.core.labels import Level
from cloister.sidecar.proxy.authority import Authority
from cloister.sidecar.proxy.decider import Decider, Kernel
from cloister.sidecar.proxy.process import ProxyProcess
from cloister.sidecar.proxy.trust import BUNDLE_NAME, bundle
from cloister.store.quota import QuotaBook

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from pathlib import Path

    from cloister.core.policy import Policy
    from cloister.sidecar.outgoing.withheld import Reason
    from cloister.sidecar.proxy.events import EgressEvent
    from cloister.sidecar.proxy.filters import FilterFactory
    from cloister.sidecar.recorder import Recorder
    from cloister.sidecar.textguard import TextGuard
    from cloister.store.home import Home
    from cloister.store.keys import Keyring


class WayOut:
    """The way out of one kernel. Writes the bundle that its sandbox trusts, and listens.

    Args:
        directory: Private directory that the kernel reads: socket and bundle.
        home: Where quotas are kept.
        keyring: The authority's key derives from it.
        policy: Returns the policy in force or raises ``CloisterError``.
        recorder: Keeps what happens.
        guard: Finds sensitive values.
        user: Whose kernel it is.
        level: Returns the highest level that the kernel has read.
        raise_level: Told the level of what came in.
        spend: Counts bytes that are about to leave; returns why they may not.
        purposes: What the kernel is for.
        filters: Makes the filters for calls to providers; these are refused without.
        trace: Returns the ``traceparent`` of an execution.
    """

    def __init__(
        self,
        directory: Path,
        home: Home,
        keyring: Keyring,
        *,
        policy: Callable[[], Policy],
        recorder: Recorder,
        guard: TextGuard,
        user: str,
        level: Callable[[], Level],
        raise_level: Callable[[Level], None],
        spend: Callable[[int], Reason | None] = lambda _size: None,
        purposes: frozenset[str] = frozenset(),
        filters: FilterFactory | None = None,
        trace: Callable[[str | None], str | None] = lambda _execution: None,
    ) -> None:
        authority = Authority.from_secret(keyring.authority_secret, dt.datetime.now(dt.UTC))
        certificate = authority.certificate_pem
        (directory / BUNDLE_NAME).write_text(bundle(certificate), "utf-8")
        self._recorder = recorder
        self._raise_level = raise_level
        kernel = Kernel(
            user, level, purposes, recorder.active_id, spend, lambda: trace(recorder.active_id())
        )
        decider = Decider(
            policy,
            self._record,
            guard,
            kernel,
            quotas=QuotaBook(home),
            on_inbound=self._learn,
            **({} if filters is None else {"filters": filters}),
        )
        self._process = ProxyProcess(
            directory / "egress.sock",
            decider,
            {"certificate": certificate, "key": authority.key_pem},
            on_end=self._ended,
        )

    def start(self) -> None:
        """Waits for a first connection, in a thread of its own."""
        self._process.start()

    def stop(self) -> None:
        """Ends the proxy and records the end of what is open."""
        self._process.stop()

    def _learn(self, level: Level, found: Counter[str]) -> None:
        """Restricted values that came in count as read; below that pages of packages would, too."""
        del found
        if level is Level.RESTRICTED:
            self._raise_level(level)

    def _ended(self, again: bool) -> None:  # noqa: FBT001 - a callback's only argument
        self._recorder.append(
            "egress.proxy", {"status": "ended" if again else "off", "attested_by": "sidecar"}
        )

    def _record(self, event: EgressEvent) -> None:
        self._recorder.egress(
            {
                "host": event.host,
                "port": event.port,
                "decision": "allow" if event.decision == "allow" else "block",
                "rule": event.rule,
                "via": event.method_kind,
                "phase": event.phase,
                "requests": event.requests,
                "bytes_out": event.bytes_out,
                "bytes_in": event.bytes_in,
                "found": dict(event.found),
                "received": dict(event.received),
                "would": "block" if event.would_block else None,
                "attested_by": "proxy",
            }
        )
