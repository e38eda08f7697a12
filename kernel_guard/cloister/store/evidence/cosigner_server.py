"""A witness over HTTP: ``POST /add-checkpoint`` as C2SP tlog-witness has it, and nothing else.

One small request at a time for each connection, with a limit on its length and on the time that it
may take. Whoever reaches the port may ask; only what a watched log's key signed is cosigned, so
there is nothing to log in to.
"""

from __future__ import annotations

import logging
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from cloister.store.evidence.cosigner import MOST_REQUEST_BYTES, Answer

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from cloister.store.evidence.cosigner import Cosigner

PATH: Final = "/add-checkpoint"
_TIMEOUT_S: Final = 10.0

_log = logging.getLogger(__name__)


class CosignerServer(ThreadingHTTPServer):
    """Serves one witness until it is shut down.

    Args:
        address: Host and port; port 0 takes a free one.
        cosigner: Who answers.
        certificate: PEM files with certificate and key, for HTTPS.
    """

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        cosigner: Cosigner,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self.cosigner = cosigner
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(*certificate)
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accepts a connection; TLS begins in its own thread, so that nobody can hold up others."""
        connection, peer = super().get_request()
        connection.settimeout(_TIMEOUT_S)
        if self._tls is not None:
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, peer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says that a connection failed, without what was sent over it."""
        del request, client_address
        _log.warning("A connection to the witness failed.")


class _Handler(BaseHTTPRequestHandler):
    server: CosignerServer
    timeout = _TIMEOUT_S
    protocol_version = "HTTP/1.1"
    server_version = "cloister-witness"
    sys_version = ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(message)s\n"

    def do_POST(self) -> None:
        answer = self._answer()
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(body)))
        if answer.status in {411, 413}:
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        del format
        # The request line was chosen by others: only its status is told.
        _log.info("answered %s", args[1] if len(args) > 1 else "")

    def _answer(self) -> Answer:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or "Transfer-Encoding" in self.headers:
            return Answer(411, "the length is missing\n")
        if int(length) > MOST_REQUEST_BYTES:
            return Answer(413, "this is too long for a request\n")
        request = self.rfile.read(int(length))
        if self.path != PATH:
            return Answer(404, "only add-checkpoint is answered here\n")
        return self.server.cosigner.add_checkpoint(request)
