"""Counts that outlast kernels: limits hold for any number of writers, whatever the clock does."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cloister.core.errors import StoreUnavailable
from cloister.core.volume import Amount, Standing, volume_limits_from_list
from cloister.store.volume import VolumeBook

LIMITS = volume_limits_from_list([{"dataset": "pat*", "rows": 100}])
DAY = 86_400.0


def standings(book, rows, datasets=("patients",), user="ann"):
    verdicts = book.charge(user, datasets, LIMITS, Amount(rows=rows))
    return [verdict.standing for _, verdict in verdicts]


def test_alerts_once_and_then_stops(home):
    book = VolumeBook(home)
    assert standings(book, 79) == []
    assert standings(book, 1) == [Standing.ALERT]
    assert standings(book, 20) == []
    assert standings(book, 1) == [Standing.OVER]


def test_what_was_refused_is_not_counted(home):
    book = VolumeBook(home)
    assert standings(book, 101, ("patients", "paths")) == [Standing.OVER, Standing.OVER]
    assert book.used("ann", "patients") == Amount()


def test_users_and_datasets_count_apart(home):
    book = VolumeBook(home)
    standings(book, 60)
    assert standings(book, 60, user="bob") == []
    assert standings(book, 60, ("patterns",)) == []
    assert standings(book, 1000, ("holidays",)) == []


def test_another_process_goes_on_where_the_last_ended(home):
    standings(VolumeBook(home), 60)
    assert standings(VolumeBook(home), 41) == [Standing.OVER]


def test_a_new_day_begins_anew_and_a_clock_put_back_does_not(home):
    now = [10 * DAY + 5]
    book = VolumeBook(home, clock=lambda: now[0])
    standings(book, 70)
    now[0] = 9 * DAY
    assert standings(book, 31) == [Standing.OVER]
    now[0] = 11 * DAY - 1
    assert standings(book, 31) == [Standing.OVER]
    now[0] = 11 * DAY
    assert standings(book, 31) == []


def test_writers_at_the_same_time_share_one_limit(home):
    code = (
        "from pathlib import Path; import sys\n"
        "from cloister.store.home import Home; from cloister.store.volume import VolumeBook\n"
        "from cloister.core.volume import *\n"
        "book = VolumeBook(Home(Path(sys.argv[1])))\n"
        "limits = volume_limits_from_list([{'rows': 100}])\n"
        "done = 0\n"
        "for _ in range(20):\n"
        "    found = book.charge('ann', ['patients'], limits, Amount(rows=1))\n"
        "    done += not any(v.standing is Standing.OVER for _, v in found)\n"
        "print(done)\n"
    )
    command = [sys.executable, "-c", code, str(home.root)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(8)]
    assert sum(int(process.communicate()[0]) for process in running) == 100


def test_a_book_that_cannot_be_read_lets_nothing_leave(home):
    (home.root / "store" / "volume.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreUnavailable):
        standings(VolumeBook(home), 1)
