"""Checks in a process of their own: what hangs, swells or dies there stays, and nothing else."""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import struct
import time
import zlib
from pathlib import Path

import pytest
from cloister.core.policy import policy_from_dict
from cloister.detect.exact import ExactIndex
from cloister.detect.tokens import Tokenizer
from cloister.sidecar import wire
from cloister.sidecar.checks.checker import Checker
from cloister.sidecar.checks.jobs import Job
from cloister.sidecar.checks.weight import LIGHT_BYTES, is_light
from cloister.sidecar.outgoing.recall import Memory
from cloister.sidecar.textguard import TextGuard

SSN = "219-09-9871"
PATIENCE_S = 60


def png(width: int, height: int) -> str:
    """A picture of one colour in base64: a few kilobytes, however large it is drawn."""
    inflated = zlib.compressobj(9)
    line = b"\0" * (width // 8 + 1)
    pixels = b"".join(inflated.compress(line) for _ in range(height)) + inflated.flush()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    file = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return base64.b64encode(file).decode()


#: Takes seconds in one call of a library; a megabyte or so on the wire.
BOMB = png(60_000, 60_000)


def display(**forms) -> wire.Message:
    return wire.make_message("display_data", {"data": forms, "metadata": {}})


@pytest.fixture
def guard() -> TextGuard:
    index = ExactIndex(b"k" * 32)
    policy = policy_from_dict({"version": 1}, "0" * 64)
    return TextGuard(policy, Tokenizer(b"t" * 32), index)


@pytest.fixture
def checker(guard):
    made = Checker(guard)
    yield made
    made.close()


def verdict(checker: Checker, message: wire.Message, limit_s: float = 30):
    found = []
    sealed = message.sealed or message.pack()
    job = Job(message.header, sealed, message.buffers, 1, Memory([], [], []), limit_s)
    checker.check(job, found.append, time.monotonic())
    deadline = time.monotonic() + PATIENCE_S
    while not found:
        assert time.monotonic() < deadline
        if select.select([checker], [], [], 1)[0]:
            checker.hear(time.monotonic())
    return found[0]


def content_of(answer) -> dict:
    return json.loads(answer.packed[1])


class TestChecker:
    def test_masks_as_the_gate_does(self, checker):
        answer = verdict(checker, display(**{"text/html": f"<b>{SSN}</b>", "text/plain": "x"}))
        assert answer.passage.tally.masked == {"US_SSN": 1}
        assert "US_SSN~" in content_of(answer)["data"]["text/html"]

    def test_knows_what_was_indexed_after_it_was_made(self, checker, guard):
        assert verdict(checker, display(a="Maria Lindqvist")).passage.tally.masked == {}
        guard.index.add("PERSON", ["Maria Lindqvist"])
        message = display(**{"text/plain": "Maria Lindqvist"})
        assert verdict(checker, message).passage.tally.masked == {"PERSON": 1}
        guard.index.add("PERSON", [f"Maria{n} Lindqvist" for n in range(200_000)])
        message = display(**{"text/plain": "Maria777 Lindqvist"})
        assert verdict(checker, message).passage.tally.masked == {"PERSON": 1}

    def test_goes_by_the_policy_of_the_moment(self, checker, guard):
        message = display(**{"application/x-own": "a"})
        assert verdict(checker, message).passage.reason.code == "CLO-OUTPUT-003"
        policy = {"version": 1, "output": {"mime_types": ["application/x-own"]}}
        guard.policy = policy_from_dict(policy, "1" * 64)
        message = display(**{"application/x-own": "a"})
        assert verdict(checker, message).passage.reason is None

    def test_knows_what_was_shown_before(self, checker):
        found = []
        message = display(**{"text/plain": SSN[6:]})
        memory = Memory([(SSN[:6], None)], [], [])
        job = Job(message.header, message.pack(), [], 1, memory, 30)
        checker.check(job, found.append, time.monotonic())
        while not found:
            select.select([checker], [], [], 1)
            checker.hear(time.monotonic())
        assert found[0].passage.reason.code == "CLO-OUTPUT-008"

    def test_one_call_into_c_ends_at_the_limit(self, checker):
        began = time.monotonic()
        answer = verdict(checker, display(**{"image/png": BOMB}), limit_s=0.5)
        assert answer.is_slow
        assert answer.passage is None
        assert time.monotonic() - began < 4
        assert verdict(checker, display(**{"text/plain": "next"})).passage.reason is None

    def test_memory_that_a_check_wants_is_limited(self, checker):
        deep = b'{"data":{"application/json":[' + b"{}," * 40_000_000 + b"1]}}"
        message = display()
        message.sealed = (b"{}", deep)
        answer = verdict(checker, message)
        assert answer.passage is None or answer.passage.reason is not None
        assert verdict(checker, display(**{"text/plain": "next"})).passage.reason is None

    def test_a_process_that_is_killed_is_replaced(self, checker):
        verdict(checker, display(**{"text/plain": "x"}))
        (worker,) = Path(f"/proc/{checker._pid}/task/{checker._pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)
        select.select([checker], [], [], 10)
        checker.hear(time.monotonic())
        answer = verdict(checker, display(**{"text/plain": SSN}))
        assert answer.passage.tally.masked == {"US_SSN": 1}

    def test_without_any_process_nothing_leaves(self, checker):
        os.kill(checker._pid, signal.SIGKILL)
        answers = [verdict(checker, display(**{"text/plain": "x"})) for _ in range(2)]
        assert [answer.passage for answer in answers] == [None, None]

    def test_the_index_is_in_memory_once(self, checker, guard):
        """What the process has for itself does not grow with the index."""
        guard.index.add("US_SSN", ["099500123"])
        assert verdict(checker, display(**{"text/plain": "099500123"})).passage.tally  # loads all
        before = private_bytes(checker)
        guard.index.add("US_SSN", [f"{n:09d}" for n in range(100_000_000, 103_000_000)])
        assert guard.index._entries.nbytes > 24_000_000
        assert verdict(checker, display(**{"text/plain": "100500123"})).passage.tally
        # Pages that a fork shares with its parent become its own here and there.
        assert private_bytes(checker) - before < 12_000_000


def private_bytes(checker: Checker) -> int:
    (worker,) = Path(f"/proc/{checker._pid}/task/{checker._pid}/children").read_text().split()
    rollup = Path(f"/proc/{worker}/smaps_rollup").read_text()
    return 1024 * sum(
        int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_")
    )


@pytest.mark.parametrize(
    ("message", "light"),
    [
        (display(**{"text/plain": "a", "text/html": "<b>a</b>"}), True),
        (display(**{"image/png": "aGk="}), False),
        (display(**{" IMAGE/PNG": "aGk="}), False),
        (display(**{"image/svg+xml": "<svg/>"}), True),
        (display(**{"text/html": "<img src='data:image/png;base64,aGk='>"}), False),
    ],
)
def test_what_has_to_be_unpacked_is_heavy(message, light):
    assert is_light(message) is light


@pytest.mark.parametrize("data", [zlib.compress(b"a"), b"PAR1", b"BZh9", b"\x1f\x8b", b"\x89PNG"])
def test_packed_buffers_are_heavy(data):
    message = wire.make_message("comm_msg", {})
    message.buffers = [b"abc"]
    assert is_light(message)
    message.buffers.append(data)
    assert not is_light(message)


class TestInAKernel:
    @pytest.fixture
    def kernel(self, home, start_kernel):
        from cloister.store.home import Home, ensure_home

        ensure_home(Home(home))
        policy = {"version": 1, "output": {"time_limit_s": 1.5}}
        (home / "policy.yaml").write_text(json.dumps(policy), "utf-8")
        kernel = start_kernel()
        kernel.run("from IPython.display import display")
        return kernel

    def test_others_are_answered_while_a_check_hangs(self, kernel):
        kernel.run(f"bomb = {BOMB!r}")
        slow = kernel.client.execute("display({'image/png': bomb}, raw=True)")
        time.sleep(0.3)  # until the kernel has said it
        began = time.monotonic()
        kernel.client.is_complete("1 + 1")
        answer = kernel.client.get_shell_msg(timeout=10)
        assert answer["content"]["status"] == "complete"
        assert time.monotonic() - began < 1
        reply = kernel.client.get_shell_msg(timeout=PATIENCE_S)
        assert reply["parent_header"]["msg_id"] == slow
        assert reply["content"]["status"] == "ok"

    def test_the_order_is_kept_and_the_cell_says_what_stays(self, kernel):
        kernel.run(f"bomb = {BOMB!r}")
        result = kernel.run("print('one'); display({'image/png': bomb}, raw=True); print('two')")
        assert result.text.startswith("one\n")
        # A fast machine sees in time that there is too much in it; a slow one runs out of time.
        assert {"CLO-OUTPUT-004", "CLO-OUTPUT-005"} & {w.strip(":") for w in result.text.split()}
        assert result.text.endswith("two\n")
        assert kernel.run("1 + 1").text == "2"

    def test_a_long_stream_is_whole_and_masked(self, kernel):
        lines = [f"line {n} of many" for n in range(20_000)]
        kernel.run(f"lines = {lines!r}")
        code = (
            f"print('begin ', end='', flush=True); print('\\n'.join(lines) + ' {SSN}', flush=True)"
        )
        text = kernel.run(code).text
        assert text.startswith("begin line 0 of many\n")
        assert "line 19999 of many US_SSN~" in text
        assert SSN not in text
        assert len(text) > LIGHT_BYTES

    def test_a_value_at_the_edge_of_a_long_stream_is_one(self, kernel):
        padding = "x" * LIGHT_BYTES
        code = (
            f"import sys; w = sys.stdout.write; w({padding + ' ' + SSN[:6]!r}); sys.stdout.flush();"
            f" w({SSN[6:] + ' ' + padding!r}); sys.stdout.flush()"
        )
        text = kernel.run(code).text
        assert SSN not in text
        assert SSN[6:] not in text

    def test_small_messages_by_the_thousand_leave_in_order(self, kernel):
        result = kernel.run("for i in range(3000): print(i, flush=True)")
        assert result.text == "".join(f"{i}\n" for i in range(3000))

    def test_many_displays_are_bounded_in_memory(self, kernel):
        before = resident_bytes(kernel.sidecar_pid)
        code = f"for _ in range(300): display({{'text/html': '<p>{'x ' * 100_000}</p>'}}, raw=True)"
        assert kernel.run(code).status == "ok"
        assert resident_bytes(kernel.sidecar_pid) - before < 300_000_000


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(next(x for x in status.splitlines() if x.startswith("VmHWM")).split()[1])
