"""Text that pixels carry: rows of a table written as grey values, or into the lowest bits.

Not what is drawn: letters that a person reads in a plot are not read here.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Final

from cloister.sidecar.outgoing.pictures import UnreadablePicture

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_PIXELS: Final = 40_000_000
_MOST_CHARS: Final = 4_000_000
_RUN: Final = re.compile(rb"[\x20-\x7e\t\r\n]{7,}")
_IS_CHARACTER: Final = bytes(c in b"\t\r\n" or 0x20 <= c <= 0x7E for c in range(256))
_FEWEST_DIFFERENT: Final = 4  # an even surface is no text


def carried_text(data: bytes) -> str:
    """Returns the runs of characters that the pixels of a picture hold, one a line.

    Raises:
        UnreadablePicture: It cannot be decoded, or is too large to be.
    """
    kept: list[bytes] = []
    size = 0
    for reading in _readings(data):
        for run in _RUN.findall(reading) if _has_run(reading) else ():
            if len(set(run[:200])) >= _FEWEST_DIFFERENT:
                kept.append(run)
                size += len(run)
        if size > _MOST_CHARS:
            raise UnreadablePicture("its pixels hold too much that could be text")
    return b"\n".join(kept).decode("ascii")


def _has_run(reading: bytes) -> bool:
    """Returns whether seven characters stand side by side: mostly none do, and this is quick."""
    import numpy as np

    one = np.frombuffer(reading.translate(_IS_CHARACTER), np.bool_)
    two = one[:-1] & one[1:]
    four = two[:-2] & two[2:]
    return bool((four[:-3] & four[3:]).any())


def _readings(data: bytes) -> Iterator[bytes]:
    """Yields a picture's palette, its pixels, each of their bands, and the lowest bits."""
    import numpy as np
    from PIL import Image, ImageSequence

    if data.startswith(b"RIFF") and data[8:12] != b"WEBP":
        return  # a sound
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise UnreadablePicture("it has too many pixels")
            for frame in ImageSequence.Iterator(picture):
                palette = frame.getpalette()
                if palette:
                    yield bytes(palette)
                pixels = np.asarray(frame)
                yield pixels.tobytes()
                if pixels.dtype != np.uint8:
                    continue
                if pixels.ndim == 3:
                    for band in range(min(3, pixels.shape[2])):
                        yield pixels[:, :, band].tobytes()
                    yield np.packbits(pixels[:, :, :3].reshape(-1) & 1).tobytes()
                    yield np.packbits(pixels[:, :, 0].reshape(-1) & 1).tobytes()
                else:
                    yield np.packbits(pixels.reshape(-1) & 1).tobytes()
    except UnreadablePicture:
        raise
    except Exception:  # noqa: BLE001 - a decoder may raise anything, and its text may hold data
        raise UnreadablePicture("it cannot be decoded") from None
