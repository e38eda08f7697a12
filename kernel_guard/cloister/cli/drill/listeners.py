"""Listeners on loopback: what would stand on the internet if somebody carried data there.

Each answers as far as a client needs to go on talking, and keeps every byte that it gets. They run
in the drill's process, outside every kernel.
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import TypeAlias

    _Talk: TypeAlias = Callable[[socket.socket, Callable[[bytes], None]], None]

_LOOPBACK: Final = "127.0.0.1"
_MOST_BYTES: Final = 1_000_000  # of one connection
_IDLE_S: Final = 2.0
_HTTP_OK: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
    b"Connection: close\r\n\r\nok"
)
_ANSWER: Final = b'{"choices": [{"message": {"role": "assistant", "content": "ok"}}]}'
_MODEL_OK: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%s" % (len(_ANSWER), _ANSWER)
)


class Listeners:
    """A listener of each kind, in one thread for each connection.

    Args:
        directory: Where the Unix socket lies and the certificate is made.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._caught: list[bytes] = []
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self._stopped = threading.Event()
        self._talking = 0
        self.addresses: dict[str, object] = {}

    def __enter__(self) -> Self:
        http = self._tcp(_http)
        self.addresses = {
            "http": f"http://{_LOOPBACK}:{http}",
            "https": f"https://{_LOOPBACK}:{self._tls()}",
            "tcp": [_LOOPBACK, self._tcp(_silent)],
            "smtp": [_LOOPBACK, self._tcp(_smtp)],
            "udp": [_LOOPBACK, self._udp()],
            "dns": [_LOOPBACK, self._udp()],
            "unix": str(self._unix()),
            "abstract": self._abstract(),
            "ipv6": self._ipv6(),
            "model": f"http://{_LOOPBACK}:{self._tcp(_model)}",
        }
        self._thread = threading.Thread(target=self._serve, name="drill-listeners", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self._selector.close()
        for listener in self._sockets:
            listener.close()

    def take(self, wait_s: float = 0.0) -> list[bytes]:
        """Returns what was caught since the last call: one entry for each connection or datagram.

        A connection that said nothing is an empty entry: it was made.

        Args:
            wait_s: For what may be on its way. Conversations that go on are waited for anyway.
        """
        time.sleep(wait_s)
        deadline = time.monotonic() + _IDLE_S
        while self._talking and time.monotonic() < deadline:
            time.sleep(0.01)
        with self._lock:
            caught, self._caught = self._caught, []
        return caught

    # --- sockets ------------------------------------------------------------------------

    def _tcp(self, talk: _Talk, family: int = socket.AF_INET, host: str = _LOOPBACK) -> int:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.bind((host, 0))
        self._listen(listener, talk)
        port: int = listener.getsockname()[1]
        return port

    def _tls(self) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_certificate(self._directory))

        def talk(connection: socket.socket, keep: Callable[[bytes], None]) -> None:
            keep(connection.recv(4096, socket.MSG_PEEK))  # the name in the hello is readable by all
            with context.wrap_socket(connection, server_side=True) as secure:
                _http(secure, keep)

        return self._tcp(talk)

    def _udp(self) -> int:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((_LOOPBACK, 0))
        self._register(listener, lambda: self._datagram(listener))
        port: int = listener.getsockname()[1]
        return port

    def _unix(self) -> Path:
        path = self._directory / "sink.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        self._listen(listener, _silent)
        return path

    def _abstract(self) -> str:
        """Returns the name of a socket that lies in no directory, without its leading zero."""
        name = f"cloister-drill-{id(self):x}"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"\0{name}")
        self._listen(listener, _silent)
        return name

    def _ipv6(self) -> list[object] | None:
        try:
            return ["::1", self._tcp(_silent, socket.AF_INET6, "::1")]
        except OSError:
            return None

    def _listen(self, listener: socket.socket, talk: _Talk) -> None:
        listener.listen(16)
        self._register(listener, lambda: self._accept(listener, talk))

    def _register(self, listener: socket.socket, ready: Callable[[], None]) -> None:
        listener.settimeout(0)
        self._sockets.append(listener)
        self._selector.register(listener, selectors.EVENT_READ, ready)

    # --- what arrives -------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._stopped.is_set():
            for key, _ in self._selector.select(0.2):
                with contextlib.suppress(OSError):
                    key.data()

    def _datagram(self, listener: socket.socket) -> None:
        self._keep(listener.recv(65_535))

    def _accept(self, listener: socket.socket, talk: _Talk) -> None:
        connection, _ = listener.accept()
        connection.settimeout(_IDLE_S)
        place = self._keep(b"")
        with self._lock:
            self._talking += 1

        def converse() -> None:
            try:
                with contextlib.suppress(OSError), connection:
                    talk(connection, lambda data: self._add(place, data))
            finally:
                with self._lock:
                    self._talking -= 1

        threading.Thread(target=converse, name="drill-connection", daemon=True).start()

    def _keep(self, data: bytes) -> tuple[list[bytes], int]:
        with self._lock:
            self._caught.append(data)
            return self._caught, len(self._caught) - 1

    def _add(self, place: tuple[list[bytes], int], data: bytes) -> None:
        caught, number = place
        with self._lock:
            caught[number] = (caught[number] + data)[:_MOST_BYTES]


def _silent(connection: socket.socket, keep: Callable[[bytes], None]) -> None:
    while data := connection.recv(65_536):
        keep(data)


def _http(connection: socket.socket, keep: Callable[[bytes], None]) -> None:
    """Answers each request at once; what follows the first packet is kept as well."""
    data = connection.recv(65_536)
    keep(data)
    while b"\r\n\r\n" not in data and (more := connection.recv(65_536)):
        keep(more)
        data += more
    connection.sendall(_HTTP_OK)
    while more := connection.recv(65_536):
        keep(more)


def _model(connection: socket.socket, keep: Callable[[bytes], None]) -> None:
    """Answers as a language model that has little to say, once for each connection."""
    data = b""
    while not _is_whole(data) and (more := connection.recv(65_536)):
        keep(more)
        data += more
    connection.sendall(_MODEL_OK)


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head.lower())
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def _smtp(connection: socket.socket, keep: Callable[[bytes], None]) -> None:
    """Agrees to everything (RFC 5321 section 4.2)."""
    connection.sendall(b"220 drill ESMTP\r\n")
    is_letter = False
    while data := connection.recv(65_536):
        keep(data)
        if is_letter and not data.endswith(b"\r\n.\r\n"):
            continue
        is_letter = data[:4].upper() == b"DATA"
        connection.sendall(b"354 go on\r\n" if is_letter else b"250 ok\r\n")


def _certificate(directory: Path) -> Path:
    """Makes a certificate that nobody trusts and returns the file with it and its key."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "drill")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    path = directory / "listener.pem"
    path.write_bytes(pem)
    return path
