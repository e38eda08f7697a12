"""Who comes to a server is on record: its start, sessions, refused logins; no token ever."""

from __future__ import annotations

import time

import requests
from cloister.store.lineage_reader import LineageReader


def events(server, kind, count=1):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with LineageReader(server.home) as reader:
            entries = reader.entries(limit=1000)
        found = [entry.body for entry in entries if entry.type == kind]
        if len(found) >= count:
            assert server.token.encode() not in b"".join(entry.header for entry in entries)
            return found
        time.sleep(0.1)
    raise AssertionError(f"no {kind}")


def test_a_server_and_the_first_request_of_a_user_are_recorded_once(server):
    assert events(server, "server.started")[0]["attested_by"] == "server"
    for _ in range(3):
        server.get("status")
    (session,) = events(server, "server.session")
    assert (session["by"], session["user"]) == ("token", None)


def test_who_may_not_come_in_has_no_session_and_refused_logins_are_counted(server):
    server.get("status")
    before = events(server, "server.session")
    server.request("GET", "cloister/api/v1/status", token="wrong")
    page = requests.Session()
    page.get(f"{server.url}login", timeout=30)
    xsrf = page.cookies.get("_xsrf")
    for _ in range(3):
        answer = page.post(
            f"{server.url}login", data={"password": "wrong", "_xsrf": xsrf}, timeout=30
        )
        assert answer.status_code == 401
    (refused,) = events(server, "server.login_refused")
    assert refused["count"] == 1  # the others come with the next one
    assert events(server, "server.session") == before
