"""A guarded notebook in the browser: a person runs cells and sees masks, posture and record."""

from __future__ import annotations

import re

import pytest
from labpage import (
    START_MS,
    open_lab,
    panel,
    run_command,
    status_item,
    wait_until_guarded,
    write_notebook,
)
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SSN = "219-09-9871"
EMAIL = "ada.okafor@hospital.example"
CELLS = [
    "import pandas as pd\npatients = pd.read_csv('patients.csv')\npatients",
    f"print('her number is {SSN[:3]}' + '{SSN[3:]}')",
    "import urllib.request\nurllib.request.urlopen('https://paste.example.com/', timeout=5)",
    "int(patients['age'].sum())",
]


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_a_person_runs_a_guarded_notebook(lab_server, page, screenshot, theme):
    rows = [f"{name},{age},{SSN},{EMAIL}" for name, age in (("Ada Okafor", 41), ("Ben Ruiz", 67))]
    (lab_server.root / "patients.csv").write_text("\n".join(["name,age,ssn,email", *rows]) + "\n")
    name = f"guarded-{theme.lower()}.ipynb"
    write_notebook(lab_server, name, CELLS)
    open_lab(page, lab_server, name, theme=f"JupyterLab {theme}")
    wait_until_guarded(page)
    status_item(page).click()
    page.locator(".jp-Cell .cm-content").first.click()
    outputs = page.locator(".jp-Cell-outputArea")
    for number in range(1, len(CELLS) + 1):
        # One after the other: an error aborts what is queued behind it.
        page.keyboard.press("Shift+Enter")
        prompt = page.locator(".jp-InputPrompt", has_text=f"[{number}]:")
        expect(prompt).to_be_visible(timeout=START_MS)
    expect(outputs.nth(3)).to_contain_text("108")

    expect(outputs.nth(0)).to_contain_text("US_SSN~")
    expect(outputs.nth(1)).to_contain_text("US_SSN~")
    expect(outputs.nth(2)).to_contain_text("CLO-EGRESS-001")
    shown = " ".join(outputs.all_inner_texts())
    for value in (SSN, EMAIL, "Okafor"):
        assert value not in shown

    executions = panel(page).locator(".jp-Cloister-row")
    expect(executions).to_have_count(len(CELLS))
    expect(executions.nth(3)).to_contain_text("patients.csv")
    expect(executions.nth(2)).to_contain_text("US_SSN")
    expect(executions.nth(1)).to_contain_text("paste.example.com:443")
    expect(executions.nth(1)).to_contain_text("ended with an error")
    run_command(page, "Verify the Record")
    expect(panel(page).get_by_text(re.compile(r"Record verified · \d+ events"))).to_be_visible()
    screenshot(page, f"guarded-notebook-{theme.lower()}")
