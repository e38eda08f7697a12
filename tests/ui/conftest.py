"""JupyterLab in a real Chromium, against a real server with a real record.

``lab_server`` and ``page`` are what every browser test builds on: take both, call
``labpage.open_lab(page, lab_server, "notebook.ipynb")``, and wait for what a person would see.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lab"), str(ROOT / "tests" / "ui")]

from labserver import make_home, run_server  # noqa: E402 - found through the line above

RESULTS = ROOT / "test-results"
_CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)


@pytest.fixture(scope="module")
def lab_server(tmp_path_factory):
    """JupyterLab on loopback with an empty home and working directory."""
    base = tmp_path_factory.mktemp("lab")
    home = make_home(base / "home")
    # What the page says about a kernel without a guard can be seen where there is one.
    with home.policy_path.open("a") as policy:
        policy.write("server: {unguarded_kernels: true}\n")
    with run_server(base, home, app="jupyterlab") as running:
        yield running


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all browser tests."""
    from playwright.sync_api import expect, sync_playwright

    # Five seconds, the default, are not always enough on a machine that runs other tests too.
    expect.set_options(timeout=30_000)
    assert _CHROMIUM, "the browser tests need Chromium: apt-get install chromium"
    # Chromium's own sandbox does not work for root, as in containers.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=_CHROMIUM, args=arguments)
        yield running
        running.close()


@pytest.fixture
def page(browser):
    """A fresh page; an error that our front end throws fails the test."""
    context = browser.new_context(viewport={"width": 1360, "height": 860}, locale="en-GB")
    opened = context.new_page()
    thrown = []
    # JupyterLab throws some of its own, for instance when a cell is aborted.
    opened.on(
        "pageerror",
        lambda error: thrown.append(str(error)) if "cloister" in (error.stack or "") else None,
    )
    yield opened
    context.close()
    assert not thrown, thrown


@pytest.fixture
def screenshot():
    """Saves a picture of a page in ``test-results/``."""
    RESULTS.mkdir(exist_ok=True)

    def save(page, name):
        page.screenshot(path=RESULTS / f"{name}.png")

    return save
