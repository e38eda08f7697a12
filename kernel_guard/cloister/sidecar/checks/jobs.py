"""What the gate asks its checking process, and what it is told: as parcels."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cloister.core.volume import Amount
from cloister.sidecar.checks.parcels import Parcel
from cloister.sidecar.outgoing.outline import Outline
from cloister.sidecar.outgoing.passage import Passage
from cloister.sidecar.outgoing.recall import Memory
from cloister.sidecar.outgoing.withheld import Reason
from cloister.sidecar.textguard import Tally

if TYPE_CHECKING:
    from cloister.sidecar.wire import Message

#: Fields of a reply that the gate itself goes by; all others it only passes on.
_BRIEF: Final = ("status", "execution_count", "execution_state", "name")
_LONGEST_BRIEF_CHARS: Final = 100


@dataclass(slots=True)
class Job:
    """One message to check.

    Attributes:
        header: Of the message.
        sealed: Its metadata and content, as they came.
        buffers: Its binary data.
        size: Its bytes on the wire.
        memory: What was shown before.
        held: Pieces that are held of its streams, by the stream's name; a stream goes on with them.
        limit_s: How long the check may take.
    """

    header: dict[str, Any]
    sealed: tuple[bytes, bytes]
    buffers: list[bytes]
    size: int
    memory: Memory
    limit_s: float
    held: dict[str, list[str]] = field(default_factory=dict)

    def parcel(self, number: int) -> Parcel:
        """Returns the job as it is sent."""
        said = json.dumps([self.header, self.memory, self.held]).encode()
        head = {"job": number, "limit_s": self.limit_s, "size": self.size}
        return Parcel(head, [said, *self.sealed, *self.buffers])

    @classmethod
    def of(cls, parcel: Parcel) -> Job:
        """Reads what :meth:`parcel` wrote."""
        said, metadata, content, *buffers = parcel.parts
        header, memory, held = json.loads(said)
        pieces = [(text, source) for text, source in memory[0]]
        return cls(
            header,
            (metadata, content),
            buffers,
            parcel.head["size"],
            Memory(pieces, *memory[1:]),
            parcel.head["limit_s"],
            held,
        )


@dataclass(slots=True)
class Verdict:
    """What became of a message that was checked elsewhere.

    Attributes:
        passage: The same as for a message that is checked in the gate; ``None`` when the check
            was ended or broke, and nothing is known.
        outline: Facts about what leaves.
        packed: Metadata and content as they leave.
        buffers: Binary data as it leaves.
        brief: The fields of the content that the gate goes by.
        text: Of a stream, what leaves or is held of it, masked.
        is_slow: Whether the check was ended because its time was up.
    """

    passage: Passage | None = None
    outline: Outline | None = None
    packed: tuple[bytes, bytes] = (b"{}", b"{}")
    buffers: list[bytes] = field(default_factory=list)
    brief: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    is_slow: bool = False

    def parcel(self, number: int) -> Parcel:
        """Returns the verdict as it is sent."""
        said = {
            "passage": None if self.passage is None else _passage_to_json(self.passage),
            "outline": None if self.outline is None else _outline_to_json(self.outline),
            "brief": self.brief,
        }
        content = b"" if self.outline is None else self.outline.content
        parts = [
            json.dumps(said).encode(),
            content,
            self.text.encode("utf-8", "surrogatepass"),
            *self.packed,
            *self.buffers,
        ]
        return Parcel({"job": number}, parts)

    @classmethod
    def of(cls, parcel: Parcel) -> Verdict:
        """Reads what :meth:`parcel` wrote."""
        said, recorded, text, metadata, content, *buffers = parcel.parts
        found = json.loads(said)
        passage, facts = found["passage"], found["outline"]
        return cls(
            None if passage is None else _passage_of(passage),
            None if facts is None else _outline_of(facts, recorded),
            (metadata, content),
            buffers,
            found["brief"],
            text.decode("utf-8", "surrogatepass"),
        )


def brief_of(message: Message) -> dict[str, Any]:
    """Returns the fields of a checked message that the gate goes by."""
    return {
        name: value
        for name in _BRIEF
        if isinstance(value := message.content.get(name), int)
        or (isinstance(value, str) and len(value) <= _LONGEST_BRIEF_CHARS)
    }


def _passage_to_json(passage: Passage) -> dict[str, Any]:
    return {
        "masked": passage.tally.masked,
        "reason": None if passage.reason is None else asdict(passage.reason),
        "is_sent": passage.is_sent,
        "is_observed": passage.is_observed,
        "shown": passage.shown[-1000:],
        "fragments": passage.fragments[-1000:],
    }


def _passage_of(said: dict[str, Any]) -> Passage:
    reason = said["reason"]
    return Passage(
        Tally(said["masked"]),
        None if reason is None else Reason(**reason),
        said["is_sent"],
        said["is_observed"],
        said["shown"],
        said["fragments"],
    )


def _outline_to_json(outline: Outline) -> dict[str, Any]:
    amount = outline.amount
    return {
        "kind": outline.kind,
        "size": outline.size,
        "digest": outline.digest,
        "stand_ins": outline.stand_ins,
        "amount": [amount.rows, amount.cells, amount.bytes],
        "has_picture": outline.has_picture,
        "carries": outline.carries,
        "forms": outline.forms,
        "display": outline.display,
        "subjects": outline.subjects,
    }


def _outline_of(said: dict[str, Any], content: bytes) -> Outline:
    return Outline(
        said["kind"],
        said["size"],
        said["digest"],
        tuple(said["stand_ins"]),
        Amount(*said["amount"]),
        said["has_picture"],
        said["carries"],
        content,
        tuple((mime, digest) for mime, digest in said["forms"]),
        said["display"],
        tuple(said["subjects"]),
    )
