"""The process that checks what is large or has to be unpacked, and that ends when time is up.

A check may hang or swell inside one call into C, where no exception reaches it. Here the operating
system itself keeps the limits: an alarm that nobody catches ends the process, wherever it is, and
so does asking for more memory than it may have, unless Python can still say so. Then nothing is
known of the output, it stays, and the next process is ready in milliseconds.

There are two processes. The first is forked from the sidecar before that has any thread (a fork of
several threads leaves locks that nobody opens). It loads what checks need, forks the second, which
does the work, and forks again when that has ended. Both end with the sidecar.

Source: setitimer(2), signal(7), getrlimit(2), prctl(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle  # noqa: TID251 - what is read was written by the gate, which forked this process
import resource
import select
import signal
import socket
from typing import TYPE_CHECKING, Final, NoReturn

from cloister.core.modes import Mode
from cloister.sidecar import wire
from cloister.sidecar.checks import parcels
from cloister.sidecar.checks.jobs import Job, Verdict, brief_of
from cloister.sidecar.checks.parcels import Parcel
from cloister.sidecar.outgoing.inspection import UNREADABLE, Inspection
from cloister.sidecar.outgoing.joints import texts_to_check
from cloister.sidecar.outgoing.outline import outline
from cloister.sidecar.outgoing.passage import Passage, withhold
from cloister.sidecar.outgoing.withheld import Withheld
from cloister.sidecar.textguard import Tally

if TYPE_CHECKING:
    from cloister.sidecar.textguard import TextGuard

#: What one check may take on top of what the process has, in bytes.
CHECK_BYTES: Final = 2 << 30
_PR_SET_PDEATHSIG: Final = 1


def fork_worker(guard: TextGuard) -> tuple[int, socket.socket]:
    """Forks the first process, and returns its number and the link to whoever works.

    Args:
        guard: What checks go by. The process has a copy, which :func:`state` brings up to date.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    _be_alone(theirs, parent)
    with contextlib.suppress(BaseException):
        _keep_one_working(guard, theirs)
    os._exit(1)


def state(guard: TextGuard) -> bytes:
    """Returns what has to be known besides the index, for the process."""
    cleared = None if guard.cleared is None else guard.cleared.files()
    return pickle.dumps((guard.policy, cleared))


def _be_alone(link: socket.socket, parent: int) -> None:
    """Leaves everything of the sidecar but standard error and the link, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    _end_with(parent)
    os.closerange(3, link.fileno())
    os.closerange(link.fileno() + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _end_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it ended before that was heard


def _keep_one_working(guard: TextGuard, link: socket.socket) -> NoReturn:
    waiting = select.poll()
    waiting.register(link, select.POLLIN)
    waiting.poll()
    _load()
    while True:
        this = os.getpid()
        pid = os.fork()
        if not pid:
            _end_with(this)
            _work(guard, link)
        _, status = os.waitpid(pid, 0)
        if status == 0:
            os._exit(0)  # the sidecar is gone
        is_slow = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
        parcels.send(link, Parcel({"ended": "slow" if is_slow else "failed"}))


def _load() -> None:
    """Loads what checks need, once for all processes that come."""
    from PIL import Image

    from cloister.detect import sharedindex  # noqa: F401 - loads numpy
    from cloister.detect.decoded import decode
    from cloister.detect.text import find_spans

    Image.preinit()
    decode("nothing here")
    find_spans("nothing here")


def _work(guard: TextGuard, link: socket.socket) -> NoReturn:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = _data_bytes() + CHECK_BYTES
    hardest = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (most, hardest))
    inspection = Inspection(guard, is_timed=False)
    while True:
        parcel = parcels.receive(link)
        if parcel is None:
            os._exit(0)
        if "state" in parcel.head:
            _take_state(guard, parcel)
            continue
        signal.setitimer(signal.ITIMER_REAL, parcel.head["limit_s"])
        answer = _verdict(inspection, guard, Job.of(parcel)).parcel(parcel.head["job"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        parcels.send(link, answer)


def _data_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - one line
        return int(file.read().split()[5]) * resource.getpagesize()


def _take_state(guard: TextGuard, parcel: Parcel) -> None:
    from cloister.detect.sharedindex import borrow

    guard.policy, cleared = pickle.loads(parcel.parts[0])  # noqa: S301 - see the import
    if guard.cleared is not None and cleared is not None:
        guard.cleared.take(cleared)
    if guard.index is not None and parcel.descriptors:
        borrow(guard.index, pickle.loads(parcel.parts[1]), parcel.descriptors)  # noqa: S301


def _verdict(inspection: Inspection, guard: TextGuard, job: Job) -> Verdict:
    message = wire.Message([], job.header, {}, {}, {}, job.buffers, job.sealed)
    inspection.recall.take(job.memory)
    try:
        wire.unseal(message)
    except wire.BadMessage:
        message.sealed, message.content = None, {}
        return _of_message(message, withhold(message, UNREADABLE), job, guard)
    if message.msg_type == "stream":
        return _of_stream(message, inspection, guard, job.held)
    return _of_message(message, inspection.look_at(message), job, guard)


def _of_message(message: wire.Message, passage: Passage, job: Job, guard: TextGuard) -> Verdict:
    facts = outline(message, job.size, is_counted=bool(guard.policy.volume))
    return Verdict(passage, facts, message.pack(), message.buffers, brief_of(message))


def _of_stream(
    message: wire.Message, inspection: Inspection, guard: TextGuard, held: dict[str, list[str]]
) -> Verdict:
    """Masks a stream's text together with what is held of it; the gate decides how it goes on."""
    name = "stderr" if message.content.get("name") == "stderr" else "stdout"
    text = message.content.get("text")
    pieces = [*held.get(name, ()), text if isinstance(text, str) else ""]
    tally = Tally()
    is_observed = guard.policy.mode is Mode.OBSERVE
    try:
        masked = inspection.carefully(lambda: _masked(pieces, guard, tally))
    except Withheld as withheld:
        masked, passage = "", Passage(reason=withheld.reason, is_sent=is_observed)
    else:
        passage = Passage(tally, is_observed=is_observed and bool(tally))
    return Verdict(passage, brief={"name": name}, text="".join(pieces) if is_observed else masked)


def _masked(pieces: list[str], guard: TextGuard, tally: Tally) -> str:
    return "".join(guard.mask(text, tally) for text in texts_to_check(pieces, guard.find))
