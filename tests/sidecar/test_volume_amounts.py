"""What an output shows, and what a charge decides."""

from __future__ import annotations

import pytest
from cloister.core.decisions import Effect
from cloister.core.policy import policy_from_dict
from cloister.core.volume import Amount
from cloister.sidecar.amounts import amount_of
from cloister.sidecar.volume import NOTICE, Volume
from cloister.store.home import Home, ensure_home
from cloister.store.volume import VolumeBook


@pytest.mark.parametrize(
    ("kind", "content", "rows", "cells"),
    [
        ("stream", {"name": "stdout", "text": "a,b\n1,2\n\n"}, 2, 4),
        (
            "display_data",
            {"data": {"text/html": "<table><tr><th>a<tr><td>1</table>", "text/plain": "a\n1"}},
            2,
            2,
        ),
        ("display_data", {"data": {"image/png": "aGk="}}, 0, 0),
        ("display_data", {"data": {"application/json": {"a": [1, 2, {"b": 3}]}}}, 3, 3),
        ("error", {"ename": "E", "evalue": "one two"}, 1, 2),
        ("complete_reply", {"status": "ok", "matches": ["a", "b", "c"]}, 3, 3),
        ("history_reply", {"status": "ok", "history": [[1, 2, "x"]]}, 3, 3),
        ("inspect_reply", {"status": "ok", "data": {"text/plain": "a b\nc"}}, 2, 3),
        ("input_request", {"prompt": "who? ", "password": False}, 1, 1),
        ("execute_reply", {"status": "ok", "user_expressions": {"e": {"data": "x"}}}, 1, 1),
    ],
)
def test_rows_and_cells(kind, content, rows, cells):
    assert amount_of(kind, content, 7) == Amount(rows, cells, 7)


class TestCharge:
    @pytest.fixture
    def volume(self, home):
        self.events = []
        policy = policy_from_dict({"version": 1, "limits": {"volume": [{"rows": 10}]}}, "0" * 64)
        book = VolumeBook(ensure_home(Home(home)))
        return Volume(book, lambda: policy, lambda kind, facts: self.events.append((kind, facts)))

    def test_a_notice_before_a_block_and_one_event_each(self, volume):
        first = volume.charge("ann", ["patients"], 8, 8, 8)
        assert first.effect is Effect.ALLOW
        assert first.obligations == (NOTICE,)
        for _ in range(3):
            refused = volume.charge("ann", ["patients"], 8, 8, 8)
            assert refused.effect is Effect.BLOCK
            assert refused.rule == "limits.volume[0].rows"
        assert [kind for kind, _ in self.events] == ["volume.alert", "volume.blocked"]

    def test_a_kernel_that_has_read_nothing_is_not_charged(self, volume):
        assert volume.charge("ann", [], 1000, 0, 0).effect is Effect.ALLOW

    def test_without_a_limit_nothing_is_kept(self, home):
        policy = policy_from_dict({"version": 1}, "0" * 64)
        volume = Volume(VolumeBook(Home(home)), lambda: policy, lambda *_: None)
        assert volume.charge("ann", ["patients"], 10**9, 0, 0).effect is Effect.ALLOW
        assert not home.exists()
