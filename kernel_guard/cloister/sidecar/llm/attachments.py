"""What a request carries beside text: pictures, sound, files, words as numbers.

Nobody can put tokens into them. Pictures lose their notes; a file is read as far as it can be,
and one with values is refused; what cannot be read leaves only to a provider that may get data of
the request's level as it is.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from cloister.sidecar.llm.refusals import document_holds, unreadable
from cloister.sidecar.outgoing.pictures import UnreadablePicture, clean
from cloister.sidecar.proxy.encodings import UnreadableError
from cloister.sidecar.proxy.payloads import read_payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.core.labels import Level
    from cloister.core.providers import Provider
    from cloister.sidecar.textguard import TextGuard

_DATA_URL: Final = re.compile(r"(data:[^,]{0,200};base64,)(.*)", re.DOTALL | re.IGNORECASE)
_KINDS: Final = ("media_type", "mime_type", "mimeType", "format")
_FILE_KEYS: Final = frozenset({"file_data", "b64_json"})
_LISTS: Final = frozenset({"images"})
_VOCABULARY: Final = frozenset({"input", "prompt", "tokens"})
_FEWEST_NUMBERS: Final = 8
_PICTURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"GIF87a", b"GIF89a")


class Attachments:
    """Looks at the attachments of one request.

    Args:
        guard: Finds values in what can be read.
        provider: Who gets them.
        level: The highest level that the kernel has read.
        limit: The most bytes that a file may unpack to.
        enforces: Whether they are refused; else everything passes.
        on_found: Told the entity types that are found, with counts.
    """

    def __init__(
        self,
        guard: TextGuard,
        provider: Provider,
        level: Level,
        limit: int,
        *,
        enforces: bool,
        on_found: Callable[[Counter[str]], None],
    ) -> None:
        self._guard = guard
        self._provider = provider
        self._level = level
        self._limit = limit
        self._enforces = enforces
        self._on_found = on_found

    def replaced(self, container: dict[str, Any], key: str, item: Any) -> Any:
        """Returns what leaves in the place of an attachment; ``None`` where there is none.

        Raises:
            Refusal: It does not leave.
        """
        if isinstance(item, list):
            return self._of_list(key, item)
        if not isinstance(item, str):
            return None
        match = _DATA_URL.fullmatch(item)
        if match is not None:
            data = self._looked_at(match[2])
            return None if data is None else item if data is match[2] else match[1] + data
        is_file = key in _FILE_KEYS or (key == "data" and any(k in container for k in _KINDS))
        return self._looked_at(item) if is_file else None

    def _of_list(self, key: str, items: list[Any]) -> list[Any] | None:
        if key in _LISTS and items and all(isinstance(item, str) for item in items):
            looked_at = [self._looked_at(item) for item in items]
            if None in looked_at:
                return None
            return (
                items if all(a is b for a, b in zip(items, looked_at, strict=True)) else looked_at
            )
        if key in _VOCABULARY and _is_vocabulary(items):
            self._require_plain("is text as numbers of a vocabulary, which cannot be looked into")
            return items
        return None

    def _looked_at(self, encoded: str) -> str | None:
        """Returns the Base64 that leaves; ``None`` when it is no Base64, but a text."""
        try:
            data = base64.b64decode("".join(encoded.split()), validate=True)
        except (binascii.Error, ValueError):
            return None
        if data.startswith(_PICTURES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
            self._require_plain("holds a picture, which cannot be looked into")
            try:
                cleaned = clean(data)
            except UnreadablePicture:
                raise unreadable(self._provider.name, "holds a damaged picture") from None
            return encoded if cleaned is data else base64.b64encode(cleaned).decode()
        self._look_into(data)
        return encoded

    def _look_into(self, data: bytes) -> None:
        try:
            contents = read_payload(data, "", self._limit)
        except UnreadableError as error:
            raise unreadable(self._provider.name, f"holds a file that {error.what}") from None
        found = Counter(s.entity_type for t in contents.texts for s in self._guard.find(t))
        if found:
            self._on_found(found)
        if found and self._enforces:
            raise document_holds(self._provider.name, found)
        if contents.unread:
            kinds = ", ".join(sorted(set(contents.unread)))
            self._require_plain(f"holds {kinds}, which cannot be looked into")

    def _require_plain(self, what: str) -> None:
        if self._enforces and self._level > self._provider.level.plain:
            raise unreadable(self._provider.name, what)


def _is_vocabulary(items: list[Any]) -> bool:
    """Whether a list is numbers, or lists of numbers, in place of text."""
    flat = [n for item in items for n in (item if isinstance(item, list) else [item])]
    return len(flat) >= _FEWEST_NUMBERS and all(type(n) is int for n in flat)
