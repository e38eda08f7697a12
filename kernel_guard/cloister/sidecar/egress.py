"""The only way out of a kernel: an HTTP/1.1 forward proxy on a unix socket.

A kernel's sandbox has no network. A relay inside it carries bytes from ``127.0.0.1`` to this
socket, so whatever speaks to an HTTP proxy works unchanged, and whatever does not has no route. For
every connection, and for every request on a plain HTTP connection, in this order:

1. The request names one destination, readable in one way only (:mod:`.egress_target`).
2. The policy of this moment allows the host and port; the decision names its rule.
3. The use is recorded. What cannot be recorded does not leave, a look-up of the name included.
4. The name is resolved here, not in the kernel, and leads to public addresses only
   (:mod:`.egress_address`); the connection goes to the address that was checked.
5. Plain HTTP is rewritten (:mod:`.egress_exchange`); a tunnel must greet the same host in TLS
   (:mod:`.egress_tunnel`).
6. While it is open the policy is asked again every few seconds; a withdrawn rule ends it.

Nothing here logs or records a path, a query, a header or a body.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias, TypeVar

import h11

from cloister.core.decisions import Decision, Effect
from cloister.core.errors import CloisterError, EgressDenied
from cloister.sidecar.egress_address import (
    Address,
    Resolver,
    literal_address,
    resolve_with_system,
    special_kind,
)
from cloister.sidecar.egress_exchange import (
    TruncatedResponseError,
    forward,
    require_one_framing,
    rewrite_request,
)
from cloister.sidecar.egress_refusal import (
    Refusal,
    denied_address,
    denied_by_policy,
    malformed,
    proxy_busy,
    upstream_failed,
)
from cloister.sidecar.egress_target import (
    Destination,
    parse_absolute_form,
    parse_authority,
    require_same_host,
)
from cloister.sidecar.egress_tunnel import require_tls, tunnel
from cloister.sidecar.egress_wire import Limits, Meter, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

_ADDRESSES_TRIED = 4

MethodKind: TypeAlias = Literal["connect", "http"]


@dataclass(frozen=True, slots=True)
class EgressEvent:
    """One use of the way out, for the record.

    An allowed use gives two events: ``opened`` before a byte leaves, ``closed`` with the totals. A
    denied one gives a ``closed`` event alone.

    Attributes:
        host: Lower-case name or canonical address that the request named. It was chosen by code in
            the kernel, so it can carry data; a record treats it as such.
        port: TCP port.
        method_kind: ``connect`` for a tunnel, ``http`` for a plain request.
        decision: ``allow`` or ``deny``.
        rule: The rule that decided, for instance ``egress.allow[0]`` or ``egress.default``.
        bytes_out: Bytes to the upstream.
        bytes_in: Bytes from the upstream.
        phase: ``opened`` or ``closed``.
    """

    host: str
    port: int
    method_kind: MethodKind
    decision: Literal["allow", "deny"]
    rule: str
    bytes_out: int = 0
    bytes_in: int = 0
    phase: Literal["opened", "closed"] = "closed"


class EgressProxy:
    """Serves one kernel.

    Args:
        decide: The policy's answer for a host and port, asked anew each time. It must be quick and
            free of effects; when it raises, the answer is no.
        record: Takes every event. When it raises for an ``opened`` event, nothing leaves.
        resolve: Looks names up; the system's resolver unless a test says otherwise.
        limits: What one kernel's connections may cost.
    """

    def __init__(
        self,
        decide: Callable[[str, int], Decision],
        record: Callable[[EgressEvent], None],
        resolve: Resolver = resolve_with_system,
        limits: Limits | None = None,
    ) -> None:
        self._decide = decide
        self._record = record
        self._resolve = resolve
        self._limits = limits or Limits()
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self, path: str | os.PathLike[str]) -> None:
        """Listens on a unix socket that only this user can open.

        Args:
            path: Where to make the socket, at most 107 bytes. A socket that was left there is
                replaced. The directory must exist and be private.

        Raises:
            EgressDenied: The directory is open to others.
            OSError: The socket cannot be made.
        """
        sock = _private_socket(Path(path))
        try:
            self._server = await asyncio.start_unix_server(self._accept, sock=sock)
        except BaseException:
            sock.close()
            raise

    async def close(self) -> None:
        """Stops listening, ends every connection and records their totals."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # asyncio runs this callback in a task of its own
            return
        client = Wire(h11.SERVER, reader, writer, head_bytes=self._limits.head_bytes)
        has_room = len(self._clients) < self._limits.connections
        self._clients.add(task)
        try:
            if has_room:
                await self._serve(client)
            else:
                await _answer(client, proxy_busy())
        except (OSError, TruncatedResponseError, asyncio.CancelledError):
            client.abort()
        except Exception as error:  # noqa: BLE001 - one connection must not end the only way out
            _LOG.error("egress connection ended by %s", type(error).__name__)
            client.abort()
        finally:
            self._clients.discard(task)
            # A client that is still sending must come to read the answer.
            await client.close(linger=client.http.their_state is h11.SEND_BODY)

    async def _serve(self, client: Wire) -> None:
        """Answers the requests of one connection, one after the other."""
        while True:
            try:
                request = await self._next_request(client)
                if request is None:
                    return
                if not await self._serve_request(client, request):
                    return
            except Refusal as refusal:
                await _answer(client, refusal)
                return
            except h11.LocalProtocolError:
                await _answer(client, malformed("The message cannot be forwarded as HTTP/1.1."))
                return
            client.http.start_next_cycle()

    async def _next_request(self, client: Wire) -> h11.Request | None:
        """Reads a request head, or ``None`` when the client has no more to ask."""
        try:
            if not client.has_unread_bytes:
                async with asyncio.timeout(self._limits.keep_alive_s):
                    await client.receive()
        except TimeoutError:
            return None
        try:
            async with asyncio.timeout(self._limits.head_s):
                event = await client.next_event()
        except TimeoutError:
            raise malformed("The request head took too long.", status=408) from None
        except h11.RemoteProtocolError as error:
            raise malformed(
                "The request breaks the HTTP protocol or its head is too long.",
                status=error.error_status_hint,
            ) from error
        if not isinstance(event, h11.Request):
            return None
        if event.http_version not in {b"1.0", b"1.1"}:
            raise malformed("The request is not HTTP/1.1.", status=505)
        return event

    async def _serve_request(self, client: Wire, request: h11.Request) -> bool:
        """Decides on one request and carries it out.

        Returns:
            Whether the connection can take another request.
        """
        require_one_framing(request)
        is_connect = request.method == b"CONNECT"
        named = request.target.decode("latin-1")
        if is_connect:
            destination, target = parse_authority(named, default_port=None), ""
        else:
            destination, target = parse_absolute_form(named)
        use = _Use(self._record, destination, "connect" if is_connect else "http")
        try:
            header = next((value for name, value in request.headers if name == b"host"), None)
            require_same_host(
                None if header is None else header.decode("latin-1"),
                destination,
                default_port=destination.port if is_connect else 80,
            )
            use.rule = self._allowed(destination).rule
            if not is_connect:
                require_tls(destination)
            use.open()
            addresses = await self._checked_addresses(destination, use.rule)
            upstream = await self._connect(addresses, destination, use)
            try:
                if is_connect:
                    work = self._tunnel(client, upstream, request, destination)
                else:
                    outgoing = rewrite_request(request, target, destination)
                    work = forward(client, upstream, outgoing)
                return await self._while_allowed(work, destination, use.meter)
            finally:
                await upstream.close()
        except Refusal as refusal:
            use.refuse(refusal)
            raise
        finally:
            use.close()

    def _allowed(self, destination: Destination) -> Decision:
        try:
            decision = self._decide(destination.host, destination.port)
        except CloisterError as error:
            raise Refusal(
                403, error.message, code=error.code, rule=error.rule, remedy=error.remedy
            ) from error
        if decision.effect is not Effect.ALLOW:
            raise denied_by_policy(decision)
        return decision

    async def _checked_addresses(self, destination: Destination, rule: str) -> list[Address]:
        """Resolves a destination and refuses it when any of its addresses may not be reached."""
        literal = literal_address(destination.host)
        if literal is not None:
            found = [literal]
        else:
            try:
                async with asyncio.timeout(self._limits.resolve_s):
                    answers = await self._resolve(destination.host, destination.port)
            except (OSError, UnicodeError):  # TimeoutError is an OSError
                answers = []
            found = [address for answer in answers if (address := literal_address(answer))]
        if not found:
            raise upstream_failed(f"The name {destination.host} could not be resolved.", rule)
        for address in found:
            kind = special_kind(address)
            if kind is not None and not self._is_named(address, destination):
                raise denied_address(destination.host, kind)
        return found

    def _is_named(self, address: Address, destination: Destination) -> bool:
        """Whether the policy names a special address itself, or ``localhost``.

        A wildcard covers names: ``*.0.0.1`` would also match a name that ends so, and then the rule
        that let the address pass is the same one.
        """
        if destination.host == "localhost" and address.is_loopback:
            return True
        text, port = str(address), destination.port
        exact, wild = self._decide(text, port), self._decide(f"any.{text}", port)
        if exact.effect is not Effect.ALLOW:
            return False
        return wild.effect is not Effect.ALLOW or wild.rule != exact.rule

    async def _connect(self, addresses: list[Address], destination: Destination, use: _Use) -> Wire:
        """Connects to the first checked address that answers."""
        tried = addresses[:_ADDRESSES_TRIED]
        share_s = self._limits.connect_s / len(tried)  # one dead address leaves time for the next
        for address in tried:
            with contextlib.suppress(OSError):  # TimeoutError is one
                async with asyncio.timeout(share_s):
                    reader, writer = await asyncio.open_connection(str(address), destination.port)
                head_bytes = self._limits.head_bytes
                return Wire(h11.CLIENT, reader, writer, head_bytes=head_bytes, meter=use.meter)
        raise upstream_failed(
            f"No connection to {destination.host} on port {destination.port}.", use.rule
        )

    async def _tunnel(
        self, client: Wire, upstream: Wire, request: h11.Request, destination: Destination
    ) -> bool:
        if any(name in {b"content-length", b"transfer-encoding"} for name, _ in request.headers):
            raise malformed("A CONNECT request has no body.")
        await client.next_event()  # its end; there is no body
        await client.send(
            h11.Response(status_code=200, headers=[], reason=b"Connection established")
        )
        await tunnel(client, upstream, destination, self._limits)
        return False

    async def _while_allowed(
        self, work: Coroutine[Any, Any, _T], destination: Destination, meter: Meter
    ) -> _T:
        """Runs an exchange or tunnel until it ends, falls silent or is no longer allowed."""
        task = asyncio.create_task(work)
        watch = asyncio.create_task(self._until_ended(destination, meter))
        try:
            await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else watch.result()
        finally:
            task.cancel()
            watch.cancel()
            await asyncio.gather(task, watch, return_exceptions=True)

    async def _until_ended(self, destination: Destination, meter: Meter) -> NoReturn:
        while True:
            await asyncio.sleep(self._limits.recheck_s)
            rule = self._allowed(destination).rule
            if time.monotonic() - meter.last_active > self._limits.silence_s:
                raise upstream_failed(f"{destination.host} fell silent.", rule, status=504)


def _private_socket(path: Path) -> socket.socket:
    if path.parent.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise EgressDenied(
            "The directory of the egress socket is open to other users.",
            code="CLO-EGRESS-007",
            remedy="Make it private (mode 0700).",
        )
    if path.is_socket():
        path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(sock.fileno(), 0o600)  # before bind: the file never exists with another mode
        sock.bind(os.fspath(path))
    except BaseException:
        sock.close()
        raise
    return sock


class _Use:
    """Sees to it that every use is recorded once at its start and once at its end."""

    __slots__ = ("_destination", "_is_allowed", "_is_open", "_kind", "_record", "meter", "rule")

    def __init__(
        self, record: Callable[[EgressEvent], None], destination: Destination, kind: MethodKind
    ) -> None:
        self._record = record
        self._destination = destination
        self._kind: MethodKind = kind
        self._is_allowed = True
        self._is_open = False
        self.rule = ""
        self.meter = Meter()

    def open(self) -> None:
        """Records that bytes are about to leave.

        Raises:
            Refusal: It cannot be recorded, so it does not happen.
        """
        try:
            self._record(self._event("opened"))
        except CloisterError as error:  # says itself what is wrong with the store
            raise Refusal(503, error.message, code=error.code, remedy=error.remedy) from None
        except Exception as error:  # noqa: BLE001 - whatever the store raises, nothing leaves
            _LOG.error("egress event not recorded: %s", type(error).__name__)
            raise Refusal(
                503,
                "The connection cannot be recorded, so it was not made.",
                code="CLO-STORE-001",
                remedy="See cloister doctor.",
            ) from None
        self._is_open = True

    def refuse(self, refusal: Refusal) -> None:
        """Remembers that a rule said no, before or after the start."""
        if refusal.is_denial:
            self._is_allowed = False
            self.rule = refusal.rule or refusal.code

    def close(self) -> None:
        """Records the end; a use that was neither allowed nor denied leaves no event."""
        if self._is_allowed and not self._is_open:
            return
        try:
            self._record(self._event("closed"))
        except Exception as error:  # noqa: BLE001 - the bytes are gone; the store reports itself
            _LOG.error("egress event not recorded: %s", type(error).__name__)

    def _event(self, phase: Literal["opened", "closed"]) -> EgressEvent:
        return EgressEvent(
            self._destination.host,
            self._destination.port,
            self._kind,
            "allow" if self._is_allowed else "deny",
            self.rule,
            self.meter.bytes_out,
            self.meter.bytes_in,
            phase,
        )


async def _answer(client: Wire, refusal: Refusal) -> None:
    """Sends a refusal where HTTP still can carry it; otherwise breaks the connection."""
    if client.http.our_state is h11.SWITCHED_PROTOCOL:
        await client.close(linger=True)
        return
    if client.http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        client.abort()
        return
    await client.send(
        h11.Response(
            status_code=refusal.status,
            headers=refusal.headers(),
            reason=b"Refused by Cloister" if refusal.is_denial else b"Not forwarded",
        )
    )
    # The answer to HEAD has no body.
    with contextlib.suppress(h11.LocalProtocolError):
        await client.send(h11.Data(data=refusal.body()))
    await client.send(h11.EndOfMessage())
    await client.close(linger=True)
