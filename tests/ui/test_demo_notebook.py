"""The demo notebook in JupyterLab: opened, run as a person would, and read off the page."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from labpage import START_MS, open_lab, run_command, status_item, wait_until_guarded
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAME = "01_first_look.ipynb"


@pytest.fixture(scope="module")
def demo(lab_server):
    """The first demo notebook with a small hospital, in the server's directory."""
    shutil.copy(NOTEBOOKS / NAME, lab_server.root / NAME)
    subprocess.run(
        [
            *(sys.executable, NOTEBOOKS / "make_data.py", "--rows", "500"),
            *("--out", lab_server.root / "data"),
        ],
        check=True,
        capture_output=True,
    )
    with (lab_server.root / "data" / "patients.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_demo_notebook_runs_masked(lab_server, demo, page, screenshot):
    open_lab(page, lab_server, NAME)
    expect(page.locator(".jp-Notebook .jp-CodeCell").first).to_be_visible(timeout=START_MS)
    wait_until_guarded(page)
    status_item(page).click()
    run_command(page, "Run All Cells")
    cells = json.loads((NOTEBOOKS / NAME).read_text())["cells"]
    last = sum(cell["cell_type"] == "code" for cell in cells)
    page.locator(".jp-InputPrompt", has_text=f"[{last}]:").wait_for(timeout=START_MS)

    table = page.locator("table.dataframe", has_text="US_SSN").first
    table.scroll_into_view_if_needed()
    expect(table.locator("thead")).to_contain_text("restricted")
    expect(table.locator("tbody tr").first).to_contain_text(re.compile(r"US_SSN~[a-z2-7]{10}"))
    screenshot(page, "demo-notebook")

    shown = " ".join(page.locator(".jp-OutputArea").all_inner_texts())
    assert "US_SSN~" in shown
    for patient in demo:
        for column in ("ssn", "email", "name", "card_number"):
            assert not patient[column] or patient[column] not in shown
