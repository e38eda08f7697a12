"""Values that a data owner has cleared: what a pattern finds in them is no accident.

An owner who lowers a column says that its values may be shown, also where they look like card
numbers. The gate sees no columns, so it knows such values one by one, by keyed digests of 64 bits;
the digests say nothing without the key, and a wrong hit has the odds of 1 in 10¹³ for a million
values. Values are cleared *up to a level*, so that a policy that stops showing the level stops
showing the values, and a value that is sensitive elsewhere stays sensitive: who asks here has asked
the exact-match index before.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import threading
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from cloister.core.labels import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_MAGIC: Final = b"CLCV1\n"
_MAC_BYTES: Final = 32
_DIGEST_BYTES: Final = 8
_FEWEST_CHARS: Final = 4  # no pattern matches less


class ClearedFile:
    """The cleared values of one file, as digests by level. Never changes once it is built.

    Args:
        digests: Sorted digests for each level.
    """

    __slots__ = ("digests",)

    def __init__(self, digests: Mapping[Level, NDArray[np.uint64]]) -> None:
        self.digests = {level: array for level, array in digests.items() if len(array)}

    @classmethod
    def build(cls, key: bytes, values: Iterable[tuple[Level, Iterable[str]]]) -> ClearedFile:
        """Digests the values of lowered columns.

        Args:
            key: The workspace's index key.
            values: Level and values, in any number of portions.
        """
        import numpy as np

        found: dict[Level, list[Any]] = {}
        for level, portion in values:
            digests = [d for value in portion if (d := _digest(key, value)) is not None]
            found.setdefault(level, []).append(np.unique(np.array(digests, np.uint64)))
        return cls({level: np.unique(np.concatenate(parts)) for level, parts in found.items()})

    def save(self, path: Path, key: bytes) -> None:
        """Writes the digests with a keyed checksum; an empty set leaves no file.

        Raises:
            OSError: It cannot be written.
        """
        if not self.digests:
            path.unlink(missing_ok=True)
            return
        body = bytearray(_MAGIC)
        for level, array in sorted(self.digests.items()):
            body += struct.pack("<BQ", level, len(array)) + array.astype("<u8").tobytes()
        temporary = path.with_name(f"{path.name}.new")
        temporary.write_bytes(bytes(body) + _mac(key, body))
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path, key: bytes) -> ClearedFile:
        """Reads what :meth:`save` wrote; no file is an empty set.

        Raises:
            ValueError: It is damaged or of another key.
            OSError: It cannot be read.
        """
        import numpy as np

        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return cls({})
        body, mac = content[:-_MAC_BYTES], content[-_MAC_BYTES:]
        if not body.startswith(_MAGIC) or not hmac.compare_digest(mac, _mac(key, body)):
            raise ValueError("cleared values are damaged or of another key")
        digests, position = {}, len(_MAGIC)
        while position < len(body):
            level, count = struct.unpack_from("<BQ", body, position)
            position += struct.calcsize("<BQ")
            digests[Level(level)] = np.frombuffer(body, "<u8", count, position)
            position += 8 * count
        return cls(digests)


class ClearedValues:
    """The cleared values of all files that a sidecar has scanned. Safe to share between threads.

    Args:
        key: The workspace's index key.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._files: dict[str, ClearedFile] = {}
        self._lock = threading.Lock()

    def replace(self, name: str, file: ClearedFile) -> None:
        """Puts the values of one file in place of those that it had before."""
        with self._lock:
            files = {**self._files, name: file}
            self._files = {key: held for key, held in files.items() if held.digests}

    def files(self) -> Mapping[str, ClearedFile]:
        """Returns what is held now, by file; a new object after each change."""
        return self._files

    def take(self, files: Mapping[str, ClearedFile]) -> None:
        """Holds exactly what another object with the same key holds."""
        with self._lock:
            self._files = dict(files)

    def level_of(self, value: str) -> Level | None:
        """Returns the level up to which a value is cleared, the highest that any file gives it.

        Args:
            value: A value in any spelling: case, spaces and punctuation do not count.
        """
        files = self._files
        if not files:
            return None
        digest = _digest(self._key, value)
        if digest is None:
            return None
        levels = [
            level
            for file in files.values()
            for level, array in file.digests.items()
            if _holds(array, digest)
        ]
        return max(levels, default=None)


def _holds(array: NDArray[np.uint64], digest: int) -> bool:
    import numpy as np

    place = int(np.searchsorted(array, np.uint64(digest)))
    return place < len(array) and int(array[place]) == digest


def _digest(key: bytes, value: str) -> int | None:
    text = "".join(c for c in unicodedata.normalize("NFKC", value).casefold() if c.isalnum())
    if len(text) < _FEWEST_CHARS:
        return None
    digest = hashlib.blake2b(
        text.encode("utf-8", "surrogatepass"),
        key=_subkey(key),
        digest_size=_DIGEST_BYTES,
        person=b"cloister-cleared",
    ).digest()
    return int.from_bytes(digest, "little")


def _mac(key: bytes, body: bytes | bytearray) -> bytes:
    return hashlib.blake2b(
        body, key=_subkey(key), digest_size=_MAC_BYTES, person=b"cloister-clr-mac"
    ).digest()


def _subkey(key: bytes) -> bytes:
    """Returns the key in the size that BLAKE2b takes."""
    return key if len(key) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.blake2b(key).digest()
