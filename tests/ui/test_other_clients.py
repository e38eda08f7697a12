"""The same guard in Notebook 7 and where documents are shared between people.

Each client has an environment of its own. A person runs a notebook that tries to show values in
several ways; neither the page, nor the saved file, nor what a second person sees may hold them.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from labpage import START_MS, run_command, wait_until_guarded, write_notebook
from labserver import make_home, run_server
from playwright.sync_api import expect

sys.path.insert(0, str(Path(__file__).parents[1]))

from overlay import make_overlay, overlay_variables

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

SSN, EMAIL, NAME = "219-09-9871", "ada.okafor@hospital.example", "Ada Okafor"
ROWS = (
    f"name,age,ssn,email\n{NAME},41,{SSN},{EMAIL}\nBen Ruiz,67,219-09-9872,ben@hospital.example\n"
)
CELLS = [
    "import pandas as pd\npatients = pd.read_csv('patients.csv')\nrow = patients.iloc[0]\npatients",
    "print(row['name'], row['ssn'])",
    "from IPython.display import HTML, display\ndisplay(HTML('<b>' + row['email'] + '</b>'))",
    "h = display('x', display_id=True)\nh.update(row['name'])",
    "import ipywidgets\nipywidgets.HTML(row['email'])",
    "import sys\nfor piece in row['ssn'].split('-'):\n    print(piece, end='-', flush=True)",
    "print('the', 'end')",
]


@contextmanager
def server(base, app, *packages):
    """Runs a server with other packages beside ours."""
    python = make_overlay(base / "environment", *packages)
    home = make_home(base / "home")
    with run_server(base, home, app=app, environ=overlay_variables(), python=python) as running:
        (running.root / "patients.csv").write_text(ROWS)
        yield running


def values_in(text: str) -> list[str]:
    return [value for value in (SSN, EMAIL, NAME) if value in text]


def wait_for_kernel(page, running):
    """Waits until the notebook's kernel is there and has nothing to do."""
    for _ in range(300):
        kernels = running.request("GET", "api/kernels").json()
        if [kernel["execution_state"] for kernel in kernels] == ["idle"]:
            return
        page.wait_for_timeout(200)
    raise AssertionError("the kernel did not start")


def run_all_and_save(page):
    run_command(page, "Run All Cells")
    prompt = page.locator(".jp-InputPrompt", has_text=f"[{len(CELLS)}]:")
    expect(prompt).to_be_visible(timeout=START_MS)
    expect(page.locator(".jp-Cell-outputArea").last).to_contain_text("the end")


def saved(running, name) -> str:
    """Returns the outputs of a notebook as they lie on disk."""
    book = json.loads((running.root / name).read_text())
    return json.dumps([cell.get("outputs") for cell in book["cells"]] + [book["metadata"]])


def wait_until_saved(page, running, name) -> str:
    for _ in range(100):
        if "the end" in saved(running, name):
            return saved(running, name)
        page.wait_for_timeout(200)
    raise AssertionError(f"{name} was not saved")


def test_notebook_7(tmp_path, page, screenshot):
    with server(tmp_path, "notebook", "notebook>=7.4,<8") as running:
        write_notebook(running, "n7.ipynb", CELLS)
        page.goto(f"{running.url}notebooks/n7.ipynb?token={running.token}")
        expect(page.locator(".jp-Notebook:visible")).to_be_visible(timeout=START_MS)
        expect(
            page.locator(".jp-NotebookKernelStatus, .jp-Notebook-ExecutionIndicator").first
        ).to_be_visible()
        wait_for_kernel(page, running)
        run_all_and_save(page)
        expect(page.locator(".jp-Cell-outputArea").first).to_contain_text("US_SSN~")
        assert not values_in(page.locator("body").inner_text())
        page.keyboard.press("Control+s")
        assert not values_in(wait_until_saved(page, running, "n7.ipynb"))
        screenshot(page, "notebook-7")


SHARING = {
    "jupyter-collaboration": ["jupyter-collaboration>=4,<6"],
    "jupyter-server-documents": ["jupyter-server-documents>=0.1,<1"],
}


@pytest.mark.parametrize("kind", SHARING)
def test_shared_documents(tmp_path, browser, page, screenshot, kind):
    with server(tmp_path, "jupyterlab", *SHARING[kind]) as running:
        write_notebook(running, "shared.ipynb", CELLS)
        address = f"{running.url}lab/tree/shared.ipynb?reset&token={running.token}"
        page.goto(address)
        expect(page.locator(".jp-Notebook:visible")).to_be_visible(timeout=START_MS)
        wait_until_guarded(page)
        wait_for_kernel(page, running)
        run_all_and_save(page)
        assert not values_in(page.locator("body").inner_text())
        page.keyboard.press("Control+s")
        assert not values_in(wait_until_saved(page, running, "shared.ipynb"))
        screenshot(page, kind)
        second = browser.new_context().new_page()
        second.goto(address)
        outputs = second.locator(".jp-Cell-outputArea")
        expect(outputs.last).to_contain_text("the end", timeout=START_MS)
        assert not values_in(second.locator("body").inner_text())
        second.context.close()
        for path in kept_files(running.root.parent):
            assert not values_in(path.read_bytes().decode("latin-1")), path.name


def kept_files(base: Path):
    """Yields what the server and its document store keep, without programs and the data."""
    for path in base.rglob("*"):
        is_program = "environment" in path.parts or path.suffix == ".py"
        if path.is_file() and not is_program and path.name != "patients.csv":
            yield path
