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
from labpage import START_MS, run_command, wait_until_guarded, write_notebook
from labserver import make_home, run_server
from playwright.sync_api import expect

sys.path.insert(0, str(Path(__file__).parents[1]))

import leakynotebook as leaky
from overlay import make_overlay, overlay_variables

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CELLS = leaky.notebook_cells()
SHARING = {
    "jupyter-collaboration": ["jupyter-collaboration>=4,<6"],
    "jupyter-server-documents": ["jupyter-server-documents>=0.1,<1"],
}
OUTPUTS = "[...document.querySelectorAll('.jp-OutputArea')].map(area => area.innerHTML)"


@pytest.fixture(scope="module")
def canaries():
    return fresh_canaries()


@pytest.fixture(scope="module")
def looked_at():
    """Texts in which no canary was seen: many outputs are the same for everybody."""
    return set()


@pytest.fixture
def serve(tmp_path, canaries, monkeypatch):
    """Starts servers with the corpus in their workspace."""
    home = make_home(tmp_path / "home")
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))

    @contextmanager
    def start(app, python=sys.executable):
        environ = overlay_variables()
        with run_server(tmp_path, home, app=app, environ=environ, python=python) as running:
            leaky.write_corpus(running.root, canaries)
            yield running

    return start


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
    expect(prompt).to_be_visible(timeout=3 * START_MS)


def must_show_no_canary(page, canaries, looked_at):
    """Looks at what a person reads, and at all that outputs have put into the page."""
    shown = [page.locator("body").inner_text(), *page.evaluate(OUTPUTS)]
    assert len("".join(shown)) > 100_000, "the outputs are not on the page"
    leaky.must_hold_none([text for text in shown if text not in looked_at], canaries)
    looked_at.update(shown)


def must_save_no_canary(page, path, canaries, most_unseen=5):
    """Saves, and looks at what then lies on disk."""
    page.keyboard.press("Control+s")
    for _ in range(150):
        if '"the end' in path.read_text("utf-8"):
            break
        page.wait_for_timeout(200)
    book = json.loads(path.read_text("utf-8"))
    outputs = [output for cell in book["cells"] for output in cell.pop("outputs", [])]
    findings = leaky.read_outputs(outputs, canaries)
    leaky.must_hold_everywhere(findings, most_unseen=most_unseen)
    leaky.must_hold_none([json.dumps(book)], canaries)


def test_notebook_7(serve, page, screenshot, canaries, looked_at):
    with serve("notebook") as running:
        write_notebook(running, "n7.ipynb", CELLS)
        page.goto(f"{running.url}notebooks/n7.ipynb?token={running.token}")
        expect(page.locator(".jp-Notebook:visible")).to_be_visible(timeout=START_MS)
        wait_for_kernel(page, running)
        run_all(page)
        must_show_no_canary(page, canaries, looked_at)
        must_save_no_canary(page, running.root / "n7.ipynb", canaries)
        screenshot(page, "notebook-7")


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHARING)
def test_shared_documents(  # noqa: PLR0917 - fixtures
    serve, browser, page, screenshot, canaries, looked_at, request, kind
):
    python = make_overlay(request.config.cache.mkdir("overlays"), *SHARING[kind])
    with serve("jupyterlab", python) as running:
        write_notebook(running, "shared.ipynb", CELLS)
        address = f"{running.url}lab/tree/shared.ipynb?reset&token={running.token}"
        page.goto(address)
        expect(page.locator(".jp-Notebook:visible")).to_be_visible(timeout=START_MS)
        wait_until_guarded(page)
        wait_for_kernel(page, running)
        run_all(page)
        must_show_no_canary(page, canaries, looked_at)
        # Where documents are shared, a widget that clears its own output clears the cell's, too.
        must_save_no_canary(page, running.root / "shared.ipynb", canaries, most_unseen=40)
        screenshot(page, kind)
        second = browser.new_context().new_page()
        second.goto(address)
        expect(second.locator(".jp-Cell-outputArea").last).to_contain_text(
            "ValueError", timeout=START_MS
        )
        must_show_no_canary(second, canaries, looked_at)
        second.context.close()
        must_keep_no_canary(running.root, canaries)


def must_keep_no_canary(root, canaries):
    """Looks at what the server and its document store keep.

    What lies open in the workspace is the kernel's own: it may hold values.
    """
    values = [value.encode() for _, value in canaries.values()]
    for path in root.parent.rglob("*"):
        is_of_kernel = path.parent == root and path.suffix not in {".ipynb", ".db"}
        if path.is_file() and not is_of_kernel:
            data = path.read_bytes()
            assert not any(value in data for value in values), path.name
