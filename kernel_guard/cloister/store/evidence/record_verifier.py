#!/usr/bin/env python3
"""Verifies a bundle of the record with nothing but a public key and Python's standard library.

``cloister lineage export --verifier > verify_record.py`` writes this file. Take it from there, or
from a colleague who did, rather than out of the bundle that it is to judge:

    python verify_record.py --key lineage.pub BUNDLE
    python verify_record.py --key lineage.pub --cosigner w1.pub --against kept.note BUNDLE

BUNDLE is the zip file or the directory that it unpacks to. KEY is a C2SP verifier key or a file
with one; no key in the bundle is ever trusted. Exits with 0 when everything holds, 1 when something
does not, 2 when it could not be told. The format is in docs/explanation/evidence-bundle.md.

All of it is in one long file, because one file is what a reviewer can take along and read.

Sources: RFC 9162 section 2.1 (tree and proofs), C2SP tlog-checkpoint, signed-note and
tlog-cosignature, RFC 8032 section 5.1.7 (Ed25519). Nothing here is secret, so nothing needs
constant time. RFC 3161 tokens are verified by ``openssl ts``, where ``--tsa-ca`` is given.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from bisect import bisect_right
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMAT = "cloister-bundle-v1"
_MEMBER = re.compile(
    r"manifest\.json|checkpoint|log\.pub|events\.jsonl|payloads\.jsonl|nodes|consistency\.jsonl"
    r"|README\.txt|verify_record\.py|witnesses/[a-z0-9-]+\.(note|pub)|timestamps/[0-9]+\.(note|tsr)"
)
# What the tree itself covers, or what is compared as a whole; the manifest has digests of the rest.
_NOT_DIGESTED = frozenset({"manifest.json", "events.jsonl"})
_MOST_SMALL_BYTES = 64_000_000  # of any member but the events and payloads
_MOST_LINE_BYTES = 64_000_000
_WHOLE_NOTE = re.compile(rb"(?:[^\n]+\n){3,}\n(?:\xe2\x80\x94 [^\n]+\n)+")
_SIGNED, _COSIGNED = 1, 4  # signature types of C2SP signed-note
_ABSENT = "the bundle has no file "


class CannotTell(Exception):
    """This is no bundle, or it lacks what the question needs; the text says why."""


class Damaged(ValueError):
    """The bundle is not as it was written; the text says where."""


class Key(NamedTuple):
    """A C2SP verifier key: its name, its signature type and 32 bytes of Ed25519."""

    name: str
    kind: int
    public: bytes

    def identifier(self) -> bytes:
        """Returns the four bytes that its signatures begin with."""
        named = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(named).digest()[:4]


class Signer(NamedTuple):
    """A key and the checkpoints that it signs: from the smallest size to the largest, if any."""

    key: Key
    first: int
    last: int | None


class Note(NamedTuple):
    """A checkpoint as a signed note: what it states, and who says so."""

    data: bytes
    body: bytes
    origin: str
    size: int
    root: bytes
    signatures: list[tuple[str, bytes]]


# --- keys and notes ------------------------------------------------------------------------------


def parse_key(line: str) -> Key:
    """Returns the key that a verifier line holds (C2SP signed-note, "Verifier keys")."""
    name, _, rest = line.strip().partition("+")
    identifier, _, encoded = rest.partition("+")
    raw = _base64(encoded.encode())
    if not name or raw is None or len(raw) != 33 or raw[0] not in {_SIGNED, _COSIGNED}:
        raise CannotTell("a key is no Ed25519 verifier key")
    key = Key(name, raw[0], raw[1:])
    if key.identifier().hex() != identifier:
        raise CannotTell("a key does not have the id that it states")
    return key


def signers_of(key: Key, lines: list[str]) -> list[Signer]:
    """Returns who signs a log, given a key that is trusted and the successions of its keys.

    A succession is a line ``succession SIZE OLD NEW SIG SIG``: the old key signs checkpoints of up
    to SIZE events, the new one larger ones, and both sign that it is so. So whoever trusts either
    key learns the other. docs/explanation/evidence-bundle.md has the format.
    """
    chain = sorted({_succession(line, key.name) for line in lines})
    if not chain:
        return [Signer(key, 0, None)]
    keys = [chain[0][1], *(new for _, _, new in chain)]
    sizes = [size for size, _, _ in chain]
    follows = all(old == keys[i] for i, (_, old, _) in enumerate(chain))
    if not follows or len(set(sizes)) != len(sizes) or len(set(keys)) != len(keys):
        raise Damaged("the successions of keys are no chain")
    if key.public not in keys:
        raise Damaged("the bundle is of another log than the key")
    firsts, lasts = [0, *(size + 1 for size in sizes)], [*sizes, None]
    return [Signer(Key(key.name, _SIGNED, k), a, b) for k, a, b in zip(keys, firsts, lasts)]  # noqa: B905


def _succession(line: str, origin: str) -> tuple[int, bytes, bytes]:
    match = re.fullmatch(r"succession ([1-9][0-9]{0,18})((?: [A-Za-z0-9+/=]+){4})", line)
    parts = [_base64(part.encode()) or b"" for part in match[2].split()] if match else []
    if match is None or [len(part) for part in parts] != [32, 32, 64, 64]:
        raise Damaged("a succession of keys is not well formed")
    old, new, by_old, by_new = parts
    lines = ["cloister-key-succession-v1", origin, match[1]]
    lines += [base64.b64encode(public).decode() for public in (old, new)]
    statement = ("\n".join(lines) + "\n").encode()
    if not (ed25519(old, statement, by_old) and ed25519(new, statement, by_new)):
        raise Damaged("a succession of keys is not signed by both keys")
    return int(match[1]), old, new


def parse_note(data: bytes) -> Note | None:
    """Returns a checkpoint (C2SP tlog-checkpoint), or ``None`` when the bytes are none."""
    text, separator, tail = data.rpartition(b"\n\n")
    lines = text.split(b"\n")
    if not separator or not tail.endswith(b"\n") or len(lines) < 3:
        return None
    root = _base64(lines[2])
    if not re.fullmatch(rb"0|[1-9][0-9]{0,18}", lines[1]) or root is None or len(root) != 32:
        return None
    signatures = []
    for line in tail[:-1].split(b"\n"):
        match = re.fullmatch(rb"\xe2\x80\x94 ([^ +]+) ([A-Za-z0-9+/=]+)", line)
        raw = _base64(match[2]) if match else None
        if match is None or raw is None:
            return None
        signatures.append((match[1].decode("utf-8", "replace"), raw))
    try:
        origin = lines[0].decode()
    except UnicodeDecodeError:
        return None
    return Note(data, text + b"\n", origin, int(lines[1]), root, signatures)


def parse_notes(data: bytes) -> list[Note]:
    """Returns the checkpoints of a file that holds one, or many one after the other.

    Each begins with the line that the file begins with, its origin. What is torn is passed over.
    """
    origin = data.split(b"\n", 1)[0]
    line = re.compile(b"^" + re.escape(origin) + b"$", re.MULTILINE)
    starts = [match.start() for match in line.finditer(data)]
    found = []
    for start, end in zip(starts, [*starts[1:], len(data)]):  # noqa: B905 - 3.9 has no strict
        match = _WHOLE_NOTE.match(data, start, end)
        note = parse_note(match[0]) if match else None
        if note is not None:
            found.append(note)
    return found


def is_signed(note: Note, key: Key) -> bool:
    """Returns whether the log's key signed this checkpoint, for the log of its own name."""
    return note.origin == key.name and any(
        name == key.name and raw[:4] == key.identifier() and ed25519(key.public, note.body, raw[4:])
        for name, raw in note.signatures
    )


def is_signed_by_one(note: Note, signers: list[Signer]) -> bool:
    """Returns whether the key that signs checkpoints of this size signed it."""
    return any(
        is_signed(note, signer.key)
        for signer in signers
        if signer.first <= note.size and (signer.last is None or note.size <= signer.last)
    )


def cosigned_at(note: Note, key: Key) -> int | None:
    """Returns when a witness cosigned (C2SP tlog-cosignature), in seconds, or ``None``."""
    for name, raw in note.signatures:
        if name == key.name and raw[:4] == key.identifier() and len(raw) == 76:
            time_s = int.from_bytes(raw[4:12], "big")
            message = b"cosignature/v1\ntime %d\n%b" % (time_s, note.body)
            if ed25519(key.public, message, raw[12:]):
                return time_s
    return None


def _base64(data: bytes) -> bytes | None:
    """Decodes what has exactly one spelling; another one is damage."""
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw) == data else None


# --- the tree: RFC 9162 section 2.1 --------------------------------------------------------------


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)


class Tree:
    """Computes the root of a tree of which some leaves are there and the rest are hashes.

    Args:
        size: Leaves of the whole tree.
        ranges: First and last number of the leaves that are there, ascending, apart.
        leaves: Their hashes, in order.
        nodes: Roots of the largest parts between them, in order. For one leaf these are the path
            of an inclusion proof (section 2.1.3.1), for several what their paths do not share.
        stops: Sizes at which the root is wanted, too; only where every leaf is there.
    """

    def __init__(
        self,
        size: int,
        ranges: list[list[int]],
        leaves: Iterator[bytes],
        nodes: Iterator[bytes],
        stops: set[int],
    ) -> None:
        self._firsts = [first for first, _ in ranges]
        self._lasts = [last for _, last in ranges]
        self._leaves = leaves
        self._nodes = nodes
        self._stops = stops
        self.roots: dict[int, bytes] = {0: hashlib.sha256(b"").digest()}
        self.is_whole = ranges == [[0, size - 1]] or size == 0
        self.root = self._root(0, size) if size else self.roots[0]

    def _root(self, start: int, end: int) -> bytes:
        i = bisect_right(self._firsts, start) - 1
        if i >= 0 and self._lasts[i] >= end - 1:
            return self._complete(end - start)
        is_touched = (i >= 0 and self._lasts[i] >= start) or (
            i + 1 < len(self._firsts) and self._firsts[i + 1] < end
        )
        if not is_touched:
            return next(self._nodes)
        middle = start + _split(end - start)
        left = self._root(start, middle)
        return _node(left, self._root(middle, end))

    def _complete(self, count: int) -> bytes:
        edge: list[bytes] = []
        sha256, leaves = hashlib.sha256, self._leaves
        for size in range(count):
            leaf, bits = next(leaves), size
            while bits & 1:
                leaf = sha256(b"\x01" + edge.pop() + leaf).digest()
                bits >>= 1
            edge.append(leaf)
            if self.is_whole and size + 1 in self._stops:
                self.roots[size + 1] = _fold(edge)
        return _fold(edge)


def _fold(edge: list[bytes]) -> bytes:
    rest = edge[:]
    computed = rest.pop()
    while rest:
        computed = _node(rest.pop(), computed)
    return computed


def is_consistent(
    old_size: int, old_root: bytes, size: int, root: bytes, proof: list[bytes]
) -> bool:
    """Returns whether a proof shows that the old tree is the start of the new (section 2.1.4.2)."""
    if not 0 < old_size < size:
        return not proof and old_size == size and old_root == root
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not path:
        return False
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = _node(sibling, old), _node(sibling, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = _node(new, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and old == old_root and new == root


# --- the bundle ----------------------------------------------------------------------------------


class Bundle:
    """The members of a bundle, read one after the other, never written anywhere."""

    def __init__(self, path: Path) -> None:
        self._directory = path if path.is_dir() else None
        self._zip: zipfile.ZipFile | None = None
        if self._directory is not None:
            found = [p for p in path.rglob("*") if p.is_file() and not p.is_symlink()]
            self.names = [p.relative_to(path).as_posix() for p in found]
            self.names = [name for name in self.names if _MEMBER.fullmatch(name)]
            return
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile):
            raise CannotTell("the file is no bundle") from None
        self.names = self._zip.namelist()
        if len(set(self.names)) != len(self.names):
            raise Damaged("the bundle holds a file twice")
        if not all(_MEMBER.fullmatch(name) for name in self.names):
            raise Damaged("the bundle holds a file that no bundle has")

    def open(self, name: str) -> IO[bytes]:
        """Returns a member as a stream."""
        if self._directory is not None:
            return (self._directory / name).open("rb")
        assert self._zip is not None  # noqa: S101 - one of the two is there
        member: Any = self._zip.open(name)
        return io.BufferedReader(member, 1 << 20)  # ten times as fast line by line

    def read(self, name: str) -> bytes:
        """Returns a member, if it is not too large to be one."""
        with self.open(name) as stream:
            data = stream.read(_MOST_SMALL_BYTES + 1)
        if len(data) > _MOST_SMALL_BYTES:
            raise Damaged(f"{name} is too large")
        return data

    def lines(self, name: str) -> Iterator[bytes]:
        """Yields the lines of a member, without their ends."""
        with self.open(name) as stream:
            while line := stream.readline(_MOST_LINE_BYTES):
                if not line.endswith(b"\n"):
                    raise Damaged(f"{name} is cut off")
                yield line[:-1]


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _is_manifest(stated: dict[str, Any]) -> bool:
    """Returns whether a manifest has what it must have and its ranges are in order."""
    expected = {"events", "files", "format", "origin", "payloads", "ranges", "root", "size"}
    if not isinstance(stated["files"], dict) or type(stated["size"]) is not int:
        return False
    end = -2
    for first, last in stated["ranges"]:
        # Ranges that touch would be one.
        if type(first) is not int or type(last) is not int or first <= end + 1:
            return False
        if not first <= last < stated["size"]:
            return False
        end = last
    return set(stated) == expected and stated["format"] == FORMAT


class _Examination:
    """One pass over a bundle; collects what does not hold."""

    def __init__(
        self, key: Key, cosigners: list[Key], kept: list[Note], successions: list[str]
    ) -> None:
        self._key = key
        self._successions = successions
        self._signers = [Signer(key, 0, None)]
        self._cosigners = cosigners
        self._kept = kept
        self._newest_kept = max(kept, key=lambda note: note.size, default=None)
        self.problems: list[str] = []
        self.first_bad: int | None = None
        self.manifest: dict[str, Any] = {}
        self.cosigned: list[dict[str, Any]] = []
        self.stamped: list[dict[str, Any]] = []
        self.checkpoints = 0
        self.events = 0
        self.root = b""

    def fail(self, problem: str, seq: int | None = None) -> None:
        if self.first_bad is None:
            self.first_bad = seq
        self.problems.append(problem)

    def run(self, bundle: Bundle, tsa_ca: str | None) -> None:
        self._bundle = bundle
        self._read_manifest()
        head = self._head()
        if head is None:
            return
        witnesses = self._notes("witnesses/")
        stamps = self._notes("timestamps/")
        notes = {**witnesses, **stamps, **{f"kept {i}": n for i, n in enumerate(self._kept)}}
        tree = self._tree(head, {note.size for note in notes.values()})
        if tree is None:
            return
        self.root = tree.root
        if tree.root != head.root:
            self.fail("the events differ from what the checkpoint signs")
        proofs = self._proofs()
        for name, note in notes.items():
            self._check_older(name, note, head, tree, proofs)
        self._check_cosigners([head, *notes.values()])
        for name, note in stamps.items():
            self._check_stamp(name, note, tsa_ca)

    def _read_manifest(self) -> None:
        names = set(self._bundle.names)
        if "manifest.json" not in names:
            raise CannotTell("this is no bundle")
        for name in ("checkpoint", "events.jsonl", "log.pub"):
            if name not in names:
                raise Damaged(f"{_ABSENT}{name}")
        data = self._bundle.read("manifest.json")
        try:
            manifest = json.loads(data)
            is_right = _canonical(manifest) + b"\n" == data and _is_manifest(manifest)
        except (ValueError, TypeError, KeyError, RecursionError):
            is_right = False
        if not is_right:
            raise Damaged("the manifest is not well formed")
        self.manifest = manifest
        self._check_files(names, manifest["files"])
        self._learn_keys(self._bundle.read("log.pub"))

    def _learn_keys(self, data: bytes) -> None:
        """Learns which key followed which from the bundle, as far as the trusted key vouches."""
        first, *more = _line(data).split(b"\n")
        lines = [line.decode("ascii", "replace") for line in more]
        self._signers = signers_of(self._key, [*lines, *self._successions])
        if first not in [_key_line(signer.key) for signer in self._signers]:
            self.fail("the bundle is of another log than the key")

    def _check_files(self, names: set[str], digests: dict[str, str]) -> None:
        for name in sorted(names - _NOT_DIGESTED - digests.keys()):
            self.fail(f"{name} is not in the manifest")
        for name, digest in digests.items():
            if name not in names:
                self.fail(f"{_ABSENT}{name}")
            elif self._digest(name) != digest:
                self.fail(f"{name} is not what the manifest says")

    def _digest(self, name: str) -> str:
        with self._bundle.open(name) as stream:
            digest = hashlib.sha256()
            while block := stream.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def _head(self) -> Note | None:
        note = parse_note(self._bundle.read("checkpoint"))
        if note is None or not is_signed_by_one(note, self._signers):
            self.fail("the checkpoint is not signed by the key")
            return None
        self.checkpoints += 1
        stated = self.manifest
        if (note.origin, note.size, note.root.hex()) != (
            stated["origin"], stated["size"], stated["root"],
        ):  # fmt: skip
            self.fail("the manifest does not fit the checkpoint")
            return None
        return note

    def _notes(self, folder: str) -> dict[str, Note]:
        found = {}
        for name in sorted(n for n in self._bundle.names if n.startswith(folder)):
            if not name.endswith(".note"):
                continue
            note = parse_note(self._bundle.read(name))
            if note is None or not is_signed_by_one(note, self._signers):
                self.fail(f"{name} is no checkpoint that the key signed")
            else:
                found[name] = note
        return found

    def _tree(self, head: Note, stops: set[int]) -> Tree | None:
        """Reads all events and returns the tree that they are in."""
        names = self._bundle.names
        nodes = self._bundle.lines("nodes") if "nodes" in names else iter(())
        leaves = self._leaves()
        try:
            tree = Tree(
                head.size,
                self.manifest["ranges"],
                leaves,
                (_base64(line) or b"" for line in nodes),
                stops,
            )
        except (StopIteration, RuntimeError):
            self.fail("events or hashes are missing", self.events or None)
            return None
        if next(leaves, None) is not None or next(nodes, None) is not None:
            self.fail("the bundle holds more than its manifest says")
        if self.events != self.manifest["events"]:
            self.fail("the manifest counts other events than there are")
        return tree

    def _leaves(self) -> Iterator[bytes]:
        """Yields the hashes of the events, each compared with its place and its payload."""
        payloads = self._payloads()
        payload = next(payloads, None)
        lines = self._bundle.lines("events.jsonl")
        sha256 = hashlib.sha256
        found = 0
        for first, last in self.manifest["ranges"]:
            before: bytes | None = None
            for seq in range(first, last + 1):
                line = next(lines, None)
                if line is None:
                    self.fail(f"event {seq} is missing", seq)
                    return
                if (problem := _misplaced(line, seq, before)) is not None:
                    self.fail(f"event {seq} {problem}", seq)
                if payload is not None and payload[0] == seq:
                    if b'"payload_sha256":"%b","prev":' % payload[1] not in line:
                        self.fail(f"event {seq} has another payload than it commits to", seq)
                    found += 1
                    payload = next(payloads, None)
                self.events += 1
                before = sha256(b"\x00" + line).digest()
                yield before
        if payload is not None or found != self.manifest["payloads"]:
            self.fail("the payloads are not those of the events")
        if next(lines, None) is not None:
            self.fail("there are more events than the manifest says")

    def _payloads(self) -> Iterator[tuple[int, bytes]]:
        """Yields number and digest of each sealed payload."""
        if "payloads.jsonl" not in self._bundle.names:
            return
        for line in self._bundle.lines("payloads.jsonl"):
            try:
                stated = json.loads(line)
                sealed = base64.b64decode(stated["sealed"], validate=True)
                seq = int(stated["seq"])
                again = {"sealed": base64.b64encode(sealed).decode(), "seq": seq}
            except (ValueError, TypeError, KeyError, RecursionError):
                again = {}
            if _canonical(again) != line:
                self.fail("a payload is not well formed")
                return
            yield seq, hashlib.sha256(sealed).hexdigest().encode()

    def _proofs(self) -> dict[int, list[bytes]]:
        """Returns the consistency proofs of the bundle, by the size that they begin at."""
        proofs: dict[int, list[bytes]] = {}
        if "consistency.jsonl" not in self._bundle.names:
            return proofs
        for line in self._bundle.lines("consistency.jsonl"):
            try:
                stated = json.loads(line)
                path = [base64.b64decode(node, validate=True) for node in stated["path"]]
                proofs[int(stated["size"])] = path
            except (ValueError, TypeError, KeyError, RecursionError):
                self.fail("a consistency proof is not well formed")
        return proofs

    def _check_older(
        self, name: str, note: Note, head: Note, tree: Tree, proofs: dict[int, list[bytes]]
    ) -> None:
        """Compares a checkpoint that somebody kept with the history that the bundle shows."""
        problem = self._difference(name, note, head, tree, proofs)
        # Of thousands in one file only the newest needs a signature, and those that differ: what a
        # signed head contains is true whoever says it. Those of the bundle have been verified.
        is_doubted = problem is not None or note is self._newest_kept
        is_doubted = is_doubted and name not in self._bundle.names
        if is_doubted and not is_signed_by_one(note, self._signers):
            self.fail(f"{name}: this checkpoint is not signed by the key")
        elif problem is not None:
            self.fail(problem)
        else:
            self.checkpoints += 1

    def _difference(
        self, name: str, note: Note, head: Note, tree: Tree, proofs: dict[int, list[bytes]]
    ) -> str | None:
        """Returns how the bundle's history differs from a checkpoint, ``None`` if it does not."""
        if note.size > head.size:
            return f"{name} knows {note.size} events, and this log has {head.size}"
        if note.size in tree.roots or note.size == head.size:
            is_same = tree.roots.get(note.size, tree.root) == note.root
        elif note.size in proofs:
            is_same = is_consistent(note.size, note.root, head.size, head.root, proofs[note.size])
        else:
            raise CannotTell(
                f"the bundle has no proof from {note.size} events on; export it with --against"
            )
        return None if is_same else f"the first {note.size} events differ from what {name} knows"

    def _check_cosigners(self, notes: list[Note]) -> None:
        for key in self._cosigners:
            if key.kind != _COSIGNED:
                raise CannotTell("a cosigner's key is not of the type for cosignatures")
            times = [(n.size, t) for n in notes if (t := cosigned_at(n, key)) is not None]
            if not times:
                self.fail(f"{key.name} has cosigned nothing of this")
                continue
            size, time_s = max(times)
            self.cosigned.append({"name": key.name, "size": size, "time": _iso(time_s)})

    def _check_stamp(self, name: str, note: Note, tsa_ca: str | None) -> None:
        token = name.removesuffix("note") + "tsr"
        if token not in self._bundle.names:
            self.fail(f"{_ABSENT}{token}")
            return
        time = None
        if tsa_ca is not None:
            time = verify_token(self._bundle.read(name), self._bundle.read(token), tsa_ca)
            if time is None:
                self.fail(f"{token} is no time stamp of its checkpoint by this authority")
        self.stamped.append({"size": note.size, "verified": time is not None, "time": time})


def _misplaced(line: bytes, seq: int, before: bytes | None) -> str | None:
    """Returns what is wrong with the place of an event, given the hash of the one before it."""
    if before is not None or seq == 0:
        prev = b"null" if before is None else b'"%b"' % before.hex().encode()
        if b'"prev":%b,"schema":1,"seq":%d,"time_us":' % (prev, seq) not in line:
            return "does not follow the event before it"
    elif b',"schema":1,"seq":%d,"time_us":' % seq not in line:
        return "is not in its place"
    return None


def verify_token(data: bytes, token: bytes, tsa_ca: str) -> str | None:
    """Returns the time that an RFC 3161 token states for these bytes, ``None`` if it is not valid.

    Raises:
        CannotTell: There is no OpenSSL here.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise CannotTell("time stamps are verified by the program openssl, which is not here")
    with tempfile.TemporaryDirectory() as directory:
        note, reply = Path(directory, "note"), Path(directory, "reply")
        note.write_bytes(data)
        reply.write_bytes(token)
        given = ["-in", str(reply)]
        verify = [openssl, "ts", "-verify", "-data", str(note), *given, "-CAfile", tsa_ca]
        if subprocess.run(verify, capture_output=True, check=False).returncode:
            return None
        show = [openssl, "ts", "-reply", *given, "-text"]
        shown = subprocess.run(show, capture_output=True, check=False)
    match = re.search(rb"^Time stamp: (.+)$", shown.stdout, re.MULTILINE)
    return match[1].decode("ascii", "replace").strip() if match else None


def _iso(time_s: int) -> str:
    try:
        time = datetime.fromtimestamp(time_s, timezone.utc)  # noqa: UP017 - reviewers have 3.9, too
        return time.strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "a time that is none"


def _line(data: bytes) -> bytes:
    return data.rstrip(b"\n")


def _key_line(key: Key) -> bytes:
    encoded = base64.b64encode(bytes([key.kind]) + key.public).decode()
    return f"{key.name}+{key.identifier().hex()}+{encoded}".encode()


def verify_bundle(
    path: Path,
    key: Key,
    *,
    cosigners: list[Key] | None = None,
    kept: list[Note] | None = None,
    tsa_ca: str | None = None,
    successions: list[str] | None = None,
) -> dict[str, Any]:
    """Returns what holds of a bundle.

    Args:
        path: The bundle.
        key: The log's public key, from where the reviewer trusts it.
        cosigners: Witnesses each of which must have cosigned this history.
        kept: Checkpoints that the reviewer kept; the bundle's history must continue them.
        tsa_ca: File with the certificates of the time stamp authority.
        successions: How keys of the log followed each other, from the file with the key.

    Raises:
        CannotTell: It is no bundle, or it lacks what the question needs.
    """
    examination = _Examination(key, cosigners or [], kept or [], successions or [])
    try:
        examination.run(Bundle(path), tsa_ca)
    except Damaged as error:
        examination.fail(str(error))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        examination.fail("the bundle cannot be unpacked as it was written")
    return {
        "ok": not examination.problems,
        "events": examination.events,
        "size": examination.manifest.get("size", 0),
        "root": examination.root.hex(),
        "checkpoints": examination.checkpoints,
        "cosigned": examination.cosigned,
        "stamped": examination.stamped,
        "first_bad": examination.first_bad,
        "problems": examination.problems,
    }


# --- Ed25519: RFC 8032 section 5.1.7 -------------------------------------------------------------

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
_BY = 4 * pow(5, _P - 2, _P) % _P


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Returns whether an Ed25519 signature is valid (RFC 8032 section 5.1.7)."""
    if len(signature) != 64 or len(public) != 32:
        return False
    key, commitment = _point(public), _point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= _L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % _L
    base = _point(_BY.to_bytes(32, "little"))
    assert base is not None  # noqa: S101 - a constant of the curve
    left, right = _times(scalar, base), _add(commitment, _times(challenge, key))
    return _is_same(left, right)


def _point(data: bytes) -> tuple[int, int, int, int] | None:
    """Returns the point that 32 bytes encode, ``None`` when they encode none."""
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _add(p: tuple[int, int, int, int], q: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point = _add(point, point)
        scalar >>= 1
    return total


def _is_same(p: tuple[int, int, int, int], q: tuple[int, int, int, int]) -> bool:
    return (p[0] * q[2] - q[0] * p[2]) % _P == 0 and (p[1] * q[2] - q[1] * p[2]) % _P == 0


# --- command line --------------------------------------------------------------------------------


def read_key(text: str) -> Key:
    """Returns a verifier key that is given as such or as a file."""
    path = Path(text)
    return parse_key((path.read_text("utf-8") if path.is_file() else text).strip().split("\n")[0])


def read_successions(text: str) -> list[str]:
    """Returns how keys followed each other, where the key is given as a file that says so."""
    path = Path(text)
    return path.read_text("utf-8").strip().split("\n")[1:] if path.is_file() else []


def read_kept(paths: list[str]) -> list[Note]:
    """Returns the checkpoints in files that a reviewer kept."""
    kept = []
    for path in paths:
        notes = parse_notes(Path(path).read_bytes())
        if not notes:
            raise CannotTell("a file given with --against holds no checkpoint")
        kept += notes
    return kept


def describe(report: dict[str, Any], say: Callable[[str], object]) -> None:
    """Tells people what a report says."""
    if report["ok"]:
        say(f"The bundle holds: {report['events']} of the {report['size']} events of this log.")
        say(f"Root {report['root']}")
    else:
        say("The bundle does NOT hold.")
    for problem in report["problems"]:
        say(f"  {problem}")
    for entry in report["cosigned"]:
        say(f"Cosigned by {entry['name']}: the first {entry['size']} events, {entry['time']}")
    for entry in report["stamped"]:
        what = entry["time"] if entry["verified"] else "not verified (give --tsa-ca)"
        say(f"Time stamp over the first {entry['size']} events: {what}")


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="Verify a bundle of a Cloister record.")
    parser.add_argument("--key", required=True, help="public key of the log, or a file with it")
    parser.add_argument(
        "--cosigner",
        action="append",
        default=[],
        metavar="KEY",
        help="a witness that must have cosigned; its public key or a file with it",
    )
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="FILE",
        help="a checkpoint that you kept; the history must continue it",
    )
    parser.add_argument("--tsa-ca", metavar="FILE", help="verify time stamps with openssl")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("bundle")  # fmt: skip
    given = parser.parse_args()
    try:
        report = verify_bundle(
            Path(given.bundle),
            read_key(given.key),
            cosigners=[read_key(text) for text in given.cosigner],
            kept=read_kept(given.against),
            tsa_ca=given.tsa_ca,
            successions=read_successions(given.key),
        )
    except (CannotTell, OSError, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, CannotTell) else type(error).__name__
        sys.stderr.write(f"cannot tell: {reason}\n")
        return 2
    if given.json:
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        describe(report, lambda text: sys.stdout.write(text + "\n"))
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
