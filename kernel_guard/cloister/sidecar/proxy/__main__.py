"""The proxy process: ``python -m cloister.sidecar.proxy LINK LISTENER``, two inherited sockets.

Started by :mod:`.process` alone. Ends with its link.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import resource
import signal
import socket
import sys

from cloister.sidecar.proxy.authority import Authority, HostContexts
from cloister.sidecar.proxy.link import BrokenLinkError, LinkDesk, read_frame
from cloister.sidecar.proxy.server import EgressProxy

_SET_PDEATHSIG, _SET_DUMPABLE, _SET_NO_NEW_PRIVS = 1, 4, 38  # linux/prctl.h


def _harden() -> None:
    """No core file holds what passes here, nobody traces it, and it dies with its parent."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


async def _serve(link: socket.socket, listener: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=link)
    _, settings = await read_frame(reader)
    authority = json.loads(settings)
    contexts = HostContexts(Authority.from_pem(authority["certificate"], authority["key"]))
    desk = LinkDesk(reader, writer)
    proxy = EgressProxy(desk, contexts=contexts.of)
    await proxy.start(listener)
    await desk.serve()


def main() -> int:
    """Runs until the sidecar is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the kernel
    _harden()
    logging.basicConfig(format="[%(levelname).1s cloister] %(message)s")
    link, listener = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    try:
        asyncio.run(_serve(link, listener))
    except (BrokenLinkError, OSError, asyncio.IncompleteReadError):
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
