"""Connections that the sandbox would refuse fail early here, with a typed error that says why.

There is no network in the sandbox but the proxy, so these hooks prevent nothing: without them a
refused connection is ``Network is unreachable``. With them ``socket``, ``urllib``, ``requests``,
``urllib3``, ``httpx`` (which the clients of language models use) and ``aiohttp`` raise
:class:`~cloister.core.errors.EgressDenied` with the rule and the remedy. It is no ``OSError``, so
libraries neither retry it nor wrap it.
"""

from __future__ import annotations

import functools
import socket
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from cloister.core.errors import CloisterError, EgressDenied, error_from_dict
from cloister.hooks.client import client
from cloister.hooks.display import patch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from ipaddress import IPv4Address, IPv6Address
    from types import ModuleType

_CODE_HEADER = "X-Cloister-Code"
_REFUSED = 400  # and above; answers of upstreams never carry the header
_DENIAL_TIMEOUT_S = 5.0

_LOCAL_NAMES = frozenset(
    {"", "localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}
)

_asking = threading.local()


def install() -> None:
    """Adds the audit hook and patches ``http.client``; watches for httpcore and aiohttp."""
    from cloister.hooks.imports import when_imported

    sys.addaudithook(_audit)
    when_imported("http.client", _install_http_client)
    for name in ("httpcore", "httpcore2"):  # of httpx and httpx2
        when_imported(name, _install_httpcore)
    when_imported("aiohttp", _install_aiohttp)


# --- sockets ---


def _audit(event: str, args: tuple[Any, ...]) -> None:
    # Called for every audited event of the process: the cheapest test comes first.
    if not event.startswith("socket."):
        return
    if getattr(_asking, "active", False):
        return
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        family = args[0].family
        address = args[1]
        if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return
        host, port = str(address[0]), address[1]
        if not is_local(host):
            raise denial(host, port if isinstance(port, int) else 0, "socket")
    elif event in {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}:
        name = args[0]
        if isinstance(name, bytes | bytearray):
            name = bytes(name).decode("ascii", "replace")
        # An address needs no lookup: the connection to it is what is denied.
        if name is None or _address(str(name)) is not None or is_local(str(name)):
            return
        port = args[1] if event == "socket.getaddrinfo" else 0
        raise denial(str(name), port if isinstance(port, int) else 0, "dns")


def is_local(host: str) -> bool:
    """Returns whether a host is this machine: loopback, any-address, or its own name."""
    name = host.lower().rstrip(".").partition("%")[0]
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        return True
    # Sandboxed programs may ask for their own name, and the answer stays inside.
    address = _address(name)
    if address is None:
        return name == socket.gethostname().lower()
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def _address(name: str) -> IPv4Address | IPv6Address | None:
    import ipaddress

    try:
        return ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None


def denial(host: str, port: int, via: str) -> CloisterError:
    """Returns the error for a refused connection and lets the sidecar record it.

    Args:
        host: Name or address.
        port: TCP or UDP port, 0 when there is none yet.
        via: ``socket`` or ``dns``.
    """
    _asking.active = True
    try:
        answer = client().call(
            "egress_denied", host=host, port=port, via=via, timeout_s=_DENIAL_TIMEOUT_S
        )
        error = error_from_dict(answer)
    except CloisterError:
        error = EgressDenied(
            f"This kernel has no connection to {host}: all traffic goes through the proxy.",
            rule="egress.default",
            remedy="Use an HTTP library that honours HTTPS_PROXY, or ask an admin to allow it.",
        )
    finally:
        _asking.active = False
    if isinstance(error, EgressDenied):
        return error
    return EgressDenied(error.message, code=error.code, rule=error.rule, remedy=error.remedy)


# --- proxy answers ---


def error_from_headers(headers: Mapping[str, str]) -> EgressDenied | None:
    """Returns the error that a refusal of the proxy describes, or ``None`` for another answer.

    Args:
        headers: With names in any case; values are percent-encoded UTF-8.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    code = lower.get(_CODE_HEADER.lower())
    if not code:
        return None

    def text(name: str) -> str:
        return unquote(lower.get(f"x-cloister-{name}", ""), errors="replace")

    return EgressDenied(
        text("message") or "The egress proxy refused this request.",
        code=unquote(code),
        rule=text("rule") or None,
        remedy=text("remedy"),
    )


def _install_http_client(module: ModuleType) -> None:
    def wrap_begin(original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def begin(self: Any) -> None:
            original(self)
            if self.status >= _REFUSED and self.headers.get(_CODE_HEADER):
                error = error_from_headers(self.headers)
                self.close()
                if error is not None:
                    raise error

        return begin

    def wrap_status(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def read_status(self: Any) -> Any:
            status = original(self)
            # The answer to CONNECT is read by ``_tunnel``, of http.client and of urllib3 alike,
            # which throws the headers of a refusal away.
            caller = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller's name
            if status[1] >= _REFUSED and caller.f_code.co_name == "_tunnel":
                error = error_from_headers(module.parse_headers(self.fp))
                if error is not None:
                    self.close()
                    raise error
                raise OSError(f"Tunnel connection failed: {status[1]} {str(status[2]).strip()}")
            return status

        return read_status

    patch(module.HTTPResponse, "begin", wrap_begin)
    patch(module.HTTPResponse, "_read_status", wrap_status)


def _install_httpcore(module: ModuleType) -> None:
    def connection(kind: str, name: str) -> type:
        found: type = getattr(import_module(f"{module.__name__}.{kind}.http11"), name)
        return found

    def check(event: Any) -> Any:
        _version, status, _reason, headers, *_rest = event
        if status >= _REFUSED:
            decoded = {k.decode("latin-1"): v.decode("latin-1") for k, v in headers}
            error = error_from_headers(decoded)
            if error is not None:
                raise error
        return event

    def wrap_sync(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def receive(self: Any, *args: Any, **kwargs: Any) -> Any:
            return check(original(self, *args, **kwargs))

        return receive

    def wrap_async(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def receive(self: Any, *args: Any, **kwargs: Any) -> Any:
            return check(await original(self, *args, **kwargs))

        return receive

    patch(connection("_sync", "HTTP11Connection"), "_receive_response_headers", wrap_sync)
    patch(connection("_async", "AsyncHTTP11Connection"), "_receive_response_headers", wrap_async)


def _install_aiohttp(_module: ModuleType) -> None:
    from aiohttp.client_reqrep import ClientResponse

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def start(self: Any, *args: Any, **kwargs: Any) -> Any:
            response = await original(self, *args, **kwargs)
            # The answer to CONNECT passes here, too.
            if response.status >= _REFUSED:
                error = error_from_headers(response.headers)
                if error is not None:
                    response.close()
                    raise error
            return response

        return start

    patch(ClientResponse, "start", wrap)
