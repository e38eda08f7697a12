"""Asks one witness to take note of the newest checkpoint, and listens to what it says instead.

A witness that knows a longer log, or another one, is the point of having it: that is a
:class:`WitnessConflict`, and never mended from here. Everything else that goes wrong is a
:class:`WitnessUnavailable` and is tried again.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloister.store.checkpoint import CheckpointError, Verifier
from cloister.store.evidence import journal
from cloister.store.evidence.answers import Receipt, WitnessConflict, WitnessUnavailable
from cloister.store.evidence.cosignature import find_cosignature, parse_witness_key
from cloister.store.evidence.exchange import post
from cloister.store.evidence.timestamps import request_stamp

if TYPE_CHECKING:
    from cloister.core.recordrules import WitnessRule
    from cloister.store.evidence.reader import EvidenceReader, Head

_CLOCK_SKEW_S: Final = 300
_ATTEMPTS: Final = 3


def append_to_file(
    rule: WitnessRule, reader: EvidenceReader, verifier: Verifier, now_s: int
) -> Receipt:
    """Adds the newest checkpoint to a file elsewhere, unless the file contradicts the log.

    Raises:
        WitnessConflict: The file knows more events, or others.
        WitnessUnavailable: The file cannot be read or written, or is something else.
    """
    path = Path(rule.location)
    try:
        newest = journal.read_newest(path, verifier)
        head = _head(reader)  # after the file, so that the log may only be the longer one
        if newest is not None:
            _compare(newest[1].size, newest[1].root, reader, head)
        if newest is None or newest[1].size < head.size:
            journal.append(path, head.note)
    except CheckpointError as error:
        raise WitnessUnavailable(str(error)) from error
    except OSError as error:
        raise WitnessUnavailable(f"the file cannot be used ({type(error).__name__})") from error
    return Receipt(head.size, head.note, now_s)


def ask_cosigner(rule: WitnessRule, reader: EvidenceReader, known_size: int, now_s: int) -> Receipt:
    """Has the newest checkpoint cosigned (C2SP tlog-witness, ``add-checkpoint``).

    Args:
        rule: The cosigner.
        reader: The log.
        known_size: Size that the cosigner is believed to know; it corrects this.
        now_s: This machine's time; a cosignature of the future is refused.

    Raises:
        WitnessConflict: It knows more events, or others.
        WitnessUnavailable: There is no valid cosignature.
    """
    key = parse_witness_key(rule.key or "")
    url = rule.location.rstrip("/") + "/add-checkpoint"
    for _ in range(_ATTEMPTS):
        head = _head(reader)
        if known_size > head.size:
            raise _longer(known_size, head)
        proof = reader.consistency(known_size, head.size)
        lines = "".join(f"{base64.b64encode(node).decode()}\n" for node in proof)
        request = f"old {known_size}\n{lines}\n{head.note}".encode()
        status, body = post(url, request, "text/plain; charset=utf-8", rule.ca_file)
        if status == 200:
            found = find_cosignature(head.note, body.decode("utf-8", "replace"), key)
            if found is None:
                raise WitnessUnavailable("its answer is no cosignature by the key in the policy")
            if found.time_s > now_s + _CLOCK_SKEW_S:
                raise WitnessUnavailable("its cosignature is of the future: compare the clocks")
            return Receipt(head.size, head.note + found.line, found.time_s)
        if status == 422:
            raise WitnessConflict(f"it knows another history of the first {known_size} events")
        if status != 409:
            raise WitnessUnavailable(_REFUSALS.get(status, f"it answers with HTTP status {status}"))
        stated = body.strip()
        if not stated.isdigit() or len(stated) > 19:
            raise WitnessUnavailable("its answer is no size")
        if int(stated) == known_size:
            raise WitnessConflict(f"it knows another history of the first {known_size} events")
        known_size = int(stated)
    raise WitnessUnavailable("others are asking it for the same log all the time")


def ask_authority(rule: WitnessRule, reader: EvidenceReader) -> Receipt:
    """Has the newest checkpoint stamped (RFC 3161).

    Raises:
        WitnessUnavailable: There is no valid stamp.
    """
    head = _head(reader)
    stamp = request_stamp(rule.location, Path(rule.ca_file or ""), head.note.encode())
    return Receipt(head.size, head.note, stamp.time_s, stamp.token)


_REFUSALS: Final = {
    403: "it does not know the key that signs this log",
    404: "it does not watch this log, or there is no witness at this address",
}


def _head(reader: EvidenceReader) -> Head:
    head = reader.head()
    if head is None:
        raise WitnessUnavailable("nothing is recorded yet")
    return head


def _compare(size: int, root: bytes, reader: EvidenceReader, head: Head) -> None:
    if size > head.size:
        raise _longer(size, head)
    if reader.root(size) != root:
        raise WitnessConflict(f"it knows another history of the first {size} events")


def _longer(size: int, head: Head) -> WitnessConflict:
    return WitnessConflict(f"it knows {size} events, and the log has {head.size}")
