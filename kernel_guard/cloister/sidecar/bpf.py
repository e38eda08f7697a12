"""Programs for seccomp: an assembler for the few instructions of classic BPF that a filter needs.

A program is a list of blocks. A block is a tuple of instructions that either ends the program or
falls through to what comes after it, so blocks are put together by writing them one after another,
and no jump leads backwards or out of its block. What is compared is the accumulator, which
:func:`load` fills from ``struct seccomp_data``.

Source: Documentation/networking/filter.rst, Documentation/userspace-api/seccomp_filter.rst,
``<linux/seccomp.h>``, ``<linux/bpf_common.h>``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# Offsets in struct seccomp_data.
NUMBER: Final = 0
ARCHITECTURE: Final = 4
_ARGUMENTS: Final = 16

_LOAD_WORD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_ABOVE: Final = 0x25  # BPF_JMP | BPF_JGT | BPF_K
_JUMP_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_RET_ALLOW: Final = 0x7FFF0000
_RET_ERRNO: Final = 0x00050000

_FARTHEST: Final = 255  # a jump's distance has eight bits
_MOST_INSTRUCTIONS: Final = 4096  # BPF_MAXINSNS


@dataclass(frozen=True, slots=True)
class Instruction:
    """One ``struct sock_filter``."""

    code: int
    k: int
    if_true: int = 0
    if_false: int = 0


Block: TypeAlias = tuple[Instruction, ...]


def load(offset: int) -> Block:
    """Loads a word of ``struct seccomp_data``."""
    return (Instruction(_LOAD_WORD, offset),)


def load_argument(index: int, *, high: bool = False) -> Block:
    """Loads half of an argument of the system call: the low 32 bits, or the high ones.

    Both architectures that Cloister knows store the low half first.
    """
    return load(_ARGUMENTS + 8 * index + (4 if high else 0))


def keep_bits(mask: int) -> Block:
    """Clears all other bits of what was loaded."""
    return (Instruction(_AND, mask),)


def allow() -> Block:
    """Ends the program: the call is made."""
    return (Instruction(_RETURN, _RET_ALLOW),)


def refuse(errno: int) -> Block:
    """Ends the program: the call fails with ``errno``."""
    return (Instruction(_RETURN, _RET_ERRNO | errno),)


def pretend() -> Block:
    """Ends the program: the call is not made, and seems to have succeeded."""
    return refuse(0)


def when_any(values: Collection[int], then: Block) -> Block:
    """Runs ``then`` when what was loaded is one of the values."""
    left = len(values)
    tests = []
    for value in values:
        left -= 1
        skip = 0 if left else _near(len(then))
        tests.append(Instruction(_JUMP_EQUAL, value, _near(left), skip))
    return (*tests, *then)


def unless_any(values: Collection[int], then: Block) -> Block:
    """Runs ``then`` when what was loaded is none of the values."""
    left = len(values)
    tests = []
    for value in values:
        left -= 1
        tests.append(Instruction(_JUMP_EQUAL, value, _near(left + len(then)), 0))
    return (*tests, *then)


def when_above(value: int, then: Block) -> Block:
    """Runs ``then`` when what was loaded is greater, without a sign."""
    return (Instruction(_JUMP_ABOVE, value, 0, _near(len(then))), *then)


def when_any_bit(mask: int, then: Block) -> Block:
    """Runs ``then`` when a bit of the mask is set in what was loaded."""
    return (Instruction(_JUMP_ANY_BIT, mask, 0, _near(len(then))), *then)


def assemble(blocks: Iterable[Block]) -> bytes:
    """Returns the program as the operating system and bubblewrap take it.

    Raises:
        ValueError: It is too long, or its end does not end it.
    """
    program = [instruction for block in blocks for instruction in block]
    if not 0 < len(program) <= _MOST_INSTRUCTIONS or program[-1].code != _RETURN:
        raise ValueError("a filter ends in a decision and has at most 4096 instructions")
    return b"".join(struct.pack("=HBBI", i.code, i.if_true, i.if_false, i.k) for i in program)


def _near(distance: int) -> int:
    if distance > _FARTHEST:
        raise ValueError("a block is longer than a jump")
    return distance
