"""Downloads count for the volume of the day: an alert, then nothing more until midnight UTC."""

from __future__ import annotations

import json

import pytest
from cloister.core.volume import Amount
from cloister.store.lineage_reader import LineageReader
from cloister.store.volume import VolumeBook
from cloister_lab.filevolume import amount_of
from labserver import make_home, run_server

LINES = "a,b\n" * 40


@pytest.fixture
def server(tmp_path):
    home = make_home(tmp_path / "home")
    policy = {"version": 1, "limits": {"volume": [{"dataset": "patients", "bytes": 400}]}}
    home.policy_path.write_text(json.dumps(policy), "utf-8")
    with run_server(tmp_path / "server", home) as running:
        yield running


def download(server):
    (server.root / "t.csv").write_text(LINES, "utf-8")
    return server.request("GET", "files/t.csv")


def recorded(server) -> list[str]:
    with LineageReader(server.home) as log:
        return [entry.type for entry in log.entries() if entry.type.startswith("volume.")]


def test_an_alert_comes_before_the_block(server):
    VolumeBook(server.home).charge("maya", ["patients"], (), Amount())  # her kernel has read it
    assert [download(server).status_code for _ in range(2)] == [200, 200]
    assert recorded(server) == ["volume.alert"]
    refused = download(server)
    assert refused.status_code == 403
    assert refused.json()["code"] == "CLO-VOLUME-002"
    assert refused.json()["rule"] == "limits.volume[0].bytes"
    assert "a,b" not in refused.text
    assert recorded(server) == ["volume.alert", "volume.blocked"]
    assert VolumeBook(server.home).used("maya", "patients").bytes == 2 * len(LINES)


def test_who_has_read_nothing_downloads_as_much_as_they_like(server):
    VolumeBook(server.home).charge("ann", ["patients"], (), Amount())
    assert [download(server).status_code for _ in range(5)] == [200] * 5


def test_what_is_shown_in_a_kernel_and_what_is_downloaded_add_up(server):
    VolumeBook(server.home).charge("maya", ["patients"], (), Amount(bytes=300))
    assert download(server).status_code == 403


@pytest.mark.parametrize(
    ("data", "amount"),
    [
        (b"a,b\n1,2\n", Amount(2, 4, 8)),
        (b"a;b;c", Amount(1, 3, 5)),
        (b"PK\0\0", Amount(0, 0, 4)),
    ],
)
def test_what_a_file_shows(data, amount):
    assert amount_of(data) == amount
