"""What a notebook renders calls nobody: the whole markup family, in every way to look at it.

Two defences stand behind each other: what calls out is taken out of outputs, and the pages' policy
lets a browser talk to the server only. Each is tried alone, too, and with both off the same
listener hears the family: these tests can fail.
"""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from callouts import (
    DONE,
    Listener,
    family,
    planted,
    sources,
    write_files,
)
from labpage import START_MS, open_lab, wait_until_guarded, write_notebook
from labserver import make_home, run_server
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

SETTINGS = {
    # Every output of every cell is on the page, wherever it has been scrolled to.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none", "maxNumberOutputs": 500},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
FREE = "c.ServerApp.tornado_settings = {'headers': {'Content-Security-Policy': ''}}\n"
SCRIPTS = (
    "version: 1\noutput: {scripts: allow, mime_types: [application/xhtml+xml, application/pdf]}\n"
)
#: What the pages' policy cannot stop; a browser has no directive for these.
BEYOND_POLICY = {
    "markup-javascript-navigation",
    "markup-script-navigation",
    "markup-refresh",
    "markup-speculation",
    "a datagram",
    "a connection",
}


@pytest.fixture(scope="module")
def listener():
    made = Listener()
    yield made
    made.close()


@pytest.fixture(scope="module")
def hostile(listener):
    """The family as an unguarded kernel saved it."""
    return planted(listener)


@pytest.fixture(scope="module")
def serve(tmp_path_factory, hostile, listener):
    """Starts a server with the family in its workspace, with some of the defences."""

    def start(name, *, policy=True, neutral=True):
        base = tmp_path_factory.mktemp(name)
        home = make_home(base / "home")
        if not neutral:
            home.policy_path.write_text(SCRIPTS)
        config = "c = get_config()\nc.LabApp.expose_app_in_browser = True\n"
        return run_server(base, home, app="jupyterlab", config=config + ("" if policy else FREE))

    return start


@pytest.fixture(scope="module")
def defended(serve, hostile, listener):
    with serve("defended") as server:
        write_files(server.root, hostile, listener)
        yield server


def pages_of(server):
    return sorted(f"pages/{file.name}" for file in (server.root / "pages").iterdir())


def show_family(page, server, listener):
    """Runs the family in a guarded notebook; returns who was called."""
    for plugin, raw in SETTINGS.items():
        put = {"data": json.dumps({"raw": json.dumps(raw)})}
        server.request("PUT", f"lab/api/settings/{plugin}", **put).raise_for_status()
    write_notebook(server, "family.ipynb", sources(family(), listener))
    open_lab(page, server, "family.ipynb")
    wait_until_guarded(page)
    listener.called(least_s=0.1)
    command(page, "notebook:run-all-cells")
    expect(page.get_by_text(DONE, exact=True)).to_be_visible(timeout=START_MS)
    return listener.called()


def command(page, name, **arguments):
    page.evaluate(
        "([name, options]) => { jupyterapp.commands.execute(name, options) }", [name, arguments]
    )


def opened(page, path, factory=None):
    """Opens a file in the JupyterLab that a page shows."""
    command(page, "docmanager:open", path=path, **({"factory": factory} if factory else {}))
    expect(
        page.locator(".jp-Document:visible[data-id], .jp-Document:visible").first
    ).to_be_visible()


def test_the_family_shown_saved_and_reopened_calls_nobody(defended, page, listener):
    assert show_family(page, defended, listener) == set()
    assert page.locator(".jp-OutputArea-output").count() > len(family()) * 0.8
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    open_lab(page, defended, "family.ipynb")  # as its author saved it: trusted
    expect(page.get_by_text(DONE, exact=True)).to_be_visible(timeout=START_MS)
    assert listener.called() == set()


@pytest.mark.parametrize("is_trusted", [False, True], ids=["untrusted", "trusted"])
def test_a_planted_notebook_calls_nobody(defended, page, listener, is_trusted):
    if is_trusted:
        defended.request("POST", "api/contents/planted.ipynb/trust").raise_for_status()
    open_lab(page, defended, "planted.ipynb")
    expect(page.get_by_text(DONE, exact=True)).to_be_visible(timeout=START_MS)
    assert listener.called() == set()
    assert page.url.startswith(defended.url)


def test_viewers_of_the_file_browser_call_nobody(defended, page, listener):
    open_lab(page, defended)
    for path, factory in (
        ("all.html", "HTML Viewer"),
        ("all.md", "Markdown Preview"),
        ("table.csv", "CSVTable"),
        ("data.json", "JSON"),
        ("chart.vl.json", None),
        *((name, "Image") for name in pages_of(defended) if name.endswith(".svg")),
    ):
        opened(page, path, factory)
        page.wait_for_timeout(200)
    page.wait_for_timeout(1_000)
    # Chromium connects to the host of a frame before it asks the policy, and then asks it nothing.
    assert listener.called() <= {"a connection"}
    opened(page, "all.html", "HTML Viewer")
    page.get_by_role("button", name="Trust HTML").click()
    assert listener.called() <= {"a connection"}
    assert page.url.startswith(defended.url)


def test_opened_files_and_exports_call_nobody(defended, page, listener):
    page.goto(f"{defended.url}lab?token={defended.token}")
    listener.called(least_s=0.1)  # what came late of the viewers
    for name in pages_of(defended):
        page.goto(f"{defended.url}files/{name}")
        assert page.url.startswith(defended.url), name
    page.goto(f"{defended.url}view/all.html")
    # As in the viewer, a frame may cost a connection, and no request.
    assert listener.called() <= {"a connection"}
    for kind in ("html", "slides"):
        page.goto(f"{defended.url}nbconvert/{kind}/planted.ipynb")
        page.wait_for_timeout(500)
        assert page.url.startswith(defended.url), kind
    assert listener.called() == set()


def test_what_is_taken_out_of_outputs_is_enough_by_itself(serve, page, listener):
    with serve("neutral", policy=False) as server:
        assert show_family(page, server, listener) == set()


def test_the_policy_of_the_pages_stops_all_but_what_no_policy_stops(serve, page, listener):
    with serve("policy", neutral=False) as server:
        called = show_family(page, server, listener)
    assert called <= BEYOND_POLICY
    assert "markup-javascript-navigation" in called  # why scripts are withheld


def test_without_either_the_family_is_heard(serve, hostile, page, listener):
    with serve("open", policy=False, neutral=False) as server:
        called = show_family(page, server, listener)
        assert len(called) > 80, sorted(called)
        assert {"markup-image", "markup-script-websocket", "markup-vega-data"} <= called
        assert {"markup-markdown-image", "markup-widget-html", "a datagram"} <= called
        write_files(server.root, hostile, listener)
        some = pages_of(server)[::3]
        for name in some:
            with suppress(PlaywrightError):  # some go elsewhere
                page.goto(f"{server.url}files/{name}?token={server.token}", wait_until="commit")
                page.wait_for_timeout(50)
        opened_called = listener.called()
        assert len(opened_called) > len(some) / 2, sorted(opened_called)
        server.request("POST", "api/contents/planted.ipynb/trust").raise_for_status()
        open_lab(page, server, "planted.ipynb")
        expect(page.get_by_text(DONE, exact=True)).to_be_visible(timeout=START_MS)
        planted_called = listener.called()
        assert len(planted_called) > 60, sorted(planted_called)
