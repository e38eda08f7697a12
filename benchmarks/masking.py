"""What each kind of mask costs, as a ratio to the tokens that were there first.

One column of distinct numbers, dates or texts, the worst case: nothing is computed once for many.

    python benchmarks/masking.py [ROWS]
"""

from __future__ import annotations

import sys
import time

import pyarrow as pa
from cloister.core.masks import Mask, MaskKind
from cloister.detect.masking.arrays import mask_array
from cloister.detect.tokens import Tokenizer

_REPEATS = 3


def _columns(rows: int) -> dict[str, pa.Array]:
    numbers = range(rows)
    return {
        "text": pa.array([f"{n % 899 + 100:03}-{n % 99:02}-{n:07}" for n in numbers]),
        "mail": pa.array([f"user{n}@example{n % 50}.org" for n in numbers]),
        "address": pa.array([f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in numbers]),
        "number": pa.array([n / 7 for n in numbers]),
        "date": pa.array([n % 20_000 for n in numbers], pa.int32()).cast(pa.date32()),
    }


_MEASURED = (
    ("text", Mask(MaskKind.TOKEN)),
    ("text", Mask(MaskKind.REVERSIBLE)),
    ("text", Mask(MaskKind.REDACT)),
    ("text", Mask(MaskKind.PARTIAL)),
    ("text", Mask(MaskKind.PREFIX)),
    ("mail", Mask(MaskKind.DOMAIN)),
    ("address", Mask(MaskKind.NETWORK)),
    ("number", Mask(MaskKind.BANDS)),
    ("number", Mask(MaskKind.BOUNDS, high=1000.0)),
    ("number", Mask(MaskKind.ROUNDED)),
    ("number", Mask(MaskKind.NOISE, amount=10.0)),
    ("date", Mask(MaskKind.PERIOD)),
    ("date", Mask(MaskKind.SHIFT, subject="text")),
)


def main(rows: int = 200_000) -> None:
    """Prints values a second of each kind, and its ratio to tokens."""
    keys = Tokenizer(b"t" * 32, b"r" * 32)
    columns = _columns(rows)
    tokens_s = 0.0
    print(f"{'kind':<12}{'column':<10}{'values/s':>12}{'of tokens':>12}")
    for name, mask in _MEASURED:
        best = min(_seconds(columns, name, mask, keys) for _ in range(_REPEATS))
        tokens_s = tokens_s or best
        print(f"{mask.kind.value:<12}{name:<10}{rows / best:>12,.0f}{tokens_s / best:>12.2f}")


def _seconds(columns: dict[str, pa.Array], name: str, mask: Mask, keys: Tokenizer) -> float:
    start = time.perf_counter()
    mask_array(columns[name], mask, "MEDICAL_RECORD", keys, columns["text"])
    return time.perf_counter() - start


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
