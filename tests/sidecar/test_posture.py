"""What is said about walls is what they are: with one of them gone, it no longer holds.

Two witnesses: what a running kernel's sidecar finds in ``/proc``, and what ``doctor`` tries inside.
"""

from __future__ import annotations

import json

import pytest
from cloister.sidecar import sandbox
from cloister.sidecar.trial import TRIED, try_walls
from cloister.sidecar.walls import Walls
from cloister.store.home import Home, ensure_home


def without(*words):
    made = sandbox.bwrap_command
    return lambda *args, **kwargs: [w for w in made(*args, **kwargs) if w not in words]


def with_everything():
    made = sandbox.bwrap_command

    def weaker(*args, **kwargs):
        command = made(*args, **kwargs)
        end = command.index("--remount-ro")
        return [*command[:end], "--bind", "/tmp", "/tmp", *command[end:]]

    return weaker


WEAKER = {
    "network": lambda: without("--unshare-net"),
    "processes": lambda: without("--unshare-pid"),
    "system-calls": lambda: without("--seccomp", str(sandbox.FILTER_FD)),
    "files": with_everything,
}


def broken(guarantees):
    return {g["id"] for g in guarantees if not g["holds"]}


@pytest.fixture
def state_of(home, start_kernel):
    def look():
        kernel = start_kernel()
        kernel.run("1")
        file = home / "run" / kernel.manager.kernel_id / "state.json"
        return json.loads(file.read_text())["guarantees"]

    return look


def test_everything_holds_for_a_guarded_kernel(state_of):
    assert broken(state_of()) == set()


@pytest.mark.parametrize("wall", WEAKER)
def test_a_kernel_without_a_wall_says_so(state_of, monkeypatch, wall):
    monkeypatch.setattr(sandbox, "bwrap_command", WEAKER[wall]())
    assert wall in broken(state_of())


def test_a_kernel_with_a_foreign_environment_says_so(state_of, monkeypatch):
    made = sandbox.bwrap_command
    monkeypatch.setattr(
        sandbox,
        "bwrap_command",
        lambda plan, argv, **kwargs: made(plan, ["/usr/bin/env", "AWS_KEY=x", *argv], **kwargs),
    )
    assert broken(state_of()) == {"environment"}


def test_the_trial_finds_that_everything_holds(home):
    ensure_home(Home(home))
    rows = try_walls(Walls.BUBBLEWRAP, home)
    assert [row.id for row in rows] == list(TRIED)
    assert [row.id for row in rows if not row.holds] == []
    assert all(row.why for row in rows)


@pytest.mark.parametrize(
    ("wall", "words"),
    [
        ("network", "connect by tcp"),
        ("processes", "see other processes"),
        ("system-calls", "use the key ring"),
        ("files", "read a file outside"),
    ],
)
def test_the_trial_finds_a_missing_wall(home, monkeypatch, wall, words):
    ensure_home(Home(home))
    monkeypatch.setattr(sandbox, "bwrap_command", WEAKER[wall]())
    rows = {row.id: row for row in try_walls(Walls.BUBBLEWRAP, home)}
    assert not rows[wall].holds
    assert words in rows[wall].why


def test_the_trial_without_walls_finds_that_nothing_holds(home):
    ensure_home(Home(home))
    rows = {row.id: row for row in try_walls(Walls.NONE, home)}
    for name in ("files", "network", "processes", "system-calls", "rights", "names"):
        assert not rows[name].holds, name
