"""The leak corpus in Notebook 7, and in JupyterLab where documents are shared between people.

A person runs a notebook with the corpus in it; neither the page, nor the saved file, nor what a
second person sees, nor anything that the server keeps may hold a value. The two ways of sharing
documents exclude each other, so each has an environment of its own.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from cloister.cli.drill.canaries import fresh_canaries
from cloister.cli.drill.sightings import Search
from labpage import START_MS, run_command, wait_until_guarded, write_notebook
from labserver import make_home, run_server
from playwright.sync_api import expect

sys.path.insert(0, str(Path(__file__).parents[1]))

import leakynotebook as leaky
from overlay import make_overlay, overlay_variables

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CELLS = leaky.notebook_cells()


@pytest.fixture(scope="module")
def canaries():
    return fresh_canaries()


@contextmanager
def server(base, app, canaries, monkeypatch, *packages):
    """Runs a server with the corpus in it; packages beside ours lie in an environment apart."""
    apart = {"python": make_overlay(base / "environment", *packages)} if packages else {}
    home = make_home(base / "home")
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))
    with run_server(base, home, app=app, environ=overlay_variables(), **apart) as running:
        leaky.write_corpus(running.root, canaries)
        yield running


def wait_for_kernel(page, running):
    """Waits until the notebook's kernel is there and has nothing to do."""
    for _ in range(300):
        kernels = running.request("GET", "api/kernels").json()
        if [kernel["execution_state"] for kernel in kernels] == ["idle"]:
            return
        page.wait_for_timeout(200)
    raise AssertionError("the kernel did not start")


def run_all(page):
    run_command(page, "Run All Cells")
    prompt = page.locator(".jp-InputPrompt", has_text=f"[{len(CELLS)}]:")
    expect(prompt).to_be_visible(timeout=2 * START_MS)


def must_hold_no_canary(canaries, *texts: str | bytes) -> None:
    for text in texts:  # one by one: together they take long to tell of when one holds some
        seen = Search(canaries.values()).seen_in([text])
        assert seen is None


def wait_until_saved(page, path) -> list[dict]:
    """Saves, and returns the outputs that then lie on disk."""
    page.keyboard.press("Control+s")
    for _ in range(150):
        if '"the end' in path.read_text("utf-8"):
            cells = json.loads(path.read_text("utf-8"))["cells"]
            return [output for cell in cells for output in cell.get("outputs", [])]
        page.wait_for_timeout(200)
    raise AssertionError(f"{path.name} was not saved")


def must_save_no_canary(page, path, canaries, most_unseen=5):
    findings = leaky.read_outputs(wait_until_saved(page, path), canaries)
    leaky.must_hold_everywhere(findings, most_unseen=most_unseen)
    must_hold_no_canary(canaries, path.read_text("utf-8"))


def test_notebook_7(tmp_path, page, screenshot, canaries, monkeypatch):
    with server(tmp_path, "notebook", canaries, monkeypatch) as running:
        write_notebook(running, "n7.ipynb", CELLS)
        page.goto(f"{running.url}notebooks/n7.ipynb?token={running.token}")
        expect(page.locator(".jp-Notebook:visible")).to_be_visible(timeout=START_MS)
        wait_for_kernel(page, running)
        run_all(page)
        must_hold_no_canary(canaries, page.locator("body").inner_text(), page.content())
        must_save_no_canary(page, running.root / "n7.ipynb", canaries)
        screenshot(page, "notebook-7")


SHARING = {
    "jupyter-collaboration": ["jupyter-collaboration>=4,<6"],
    "jupyter-server-documents": ["jupyter-server-documents>=0.1,<1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHARING)
def test_shared_documents(  # noqa: PLR0917 - fixtures
    tmp_path, browser, page, screenshot, canaries, monkeypatch, kind
):
    with server(tmp_path, "jupyterlab", canaries, monkeypatch, *SHARING[kind]) as running:
        write_notebook(running, "shared.ipynb", CELLS)
        address = f"{running.url}lab/tree/shared.ipynb?reset&token={running.token}"
        page.goto(address)
        expect(page.locator(".jp-Notebook:visible")).to_be_visible(timeout=START_MS)
        wait_until_guarded(page)
        wait_for_kernel(page, running)
        run_all(page)
        must_hold_no_canary(canaries, page.locator("body").inner_text(), page.content())
        # Where documents are shared, a widget that clears its own output clears the cell's, too.
        must_save_no_canary(page, running.root / "shared.ipynb", canaries, most_unseen=40)
        screenshot(page, kind)
        second = browser.new_context().new_page()
        second.goto(address)
        expect(second.locator(".jp-Cell-outputArea").last).to_contain_text(
            "ValueError", timeout=START_MS
        )
        must_hold_no_canary(canaries, second.locator("body").inner_text(), second.content())
        second.context.close()
        for path in kept_files(running.root):
            seen = Search(canaries.values()).seen_in([path.read_bytes()])
            assert seen is None, path.name


def kept_files(root: Path):
    """Yields what the server and its document store keep, without programs.

    What lies open in the workspace is the kernel's own: it may hold values.
    """
    for path in root.parent.rglob("*"):
        is_program = "environment" in path.parts or path.suffix == ".py"
        is_of_kernel = path.parent == root and path.suffix not in {".ipynb", ".db"}
        if path.is_file() and not is_program and not is_of_kernel:
            yield path
