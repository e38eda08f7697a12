"""What masks need a key for, and who has it.

Outside the kernel that is :class:`~cloister.detect.tokens.Tokenizer`, which has the workspace's
key; inside, the broker's client, which has none and asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The domain of subjects: the same subject is moved by the same days in all files.
SUBJECT: Final = "SUBJECT"


class Keyed(Protocol):
    """Answers for many texts at once; equal texts get equal answers. Each list keeps its order."""

    def tokens(self, entity_type: str, values: Sequence[str], /) -> list[str]:
        """Returns tokens that nobody can undo."""
        ...

    def reversible_tokens(self, entity_type: str, values: Sequence[str], /) -> list[str]:
        """Returns tokens that the broker can undo, as far as there are such."""
        ...

    def offsets(self, entity_type: str, values: Sequence[str], /) -> list[float]:
        """Returns numbers in [-1, 1) that nobody can tell without the key."""
        ...
