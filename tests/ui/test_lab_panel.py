"""The status item and the panel, as a person sees and reaches them in JupyterLab."""

from __future__ import annotations

import re
import sqlite3

import pytest
from labpage import PLAIN, START_MS, open_lab, panel, run_command, status_item, write_notebook
from labserver import Execution, append, write_state
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def recorded(lab_server):
    """A server with a record of two kernels."""
    home = lab_server.home
    read = {
        "path": "/srv/data/patients.csv",
        "dataset": "patients",
        "format": "csv",
        "attested_by": "kernel",
    }
    denied = {
        "host": "paste.example.com",
        "port": 443,
        "decision": "block",
        "rule": "egress.default",
        "via": "proxy",
        "attested_by": "proxy",
    }
    a, b = "a" * 8 + "-1111-4222-8333-" + "a" * 12, "b" * 8 + "-1111-4222-8333-" + "b" * 12
    append(
        home,
        *[
            Execution(b, notebook="archive/readmissions.ipynb", count=i, duration_us=4_000 * i)
            for i in range(1, 28)
        ],
    )
    append(
        home,
        Execution(a, count=1, shown=0, duration_us=812_000),
        Execution(a, count=2, reads=[read], duration_us=1_430_000),
        Execution(a, count=3, shown=0, masked=1, labels=["EMAIL_ADDRESS", "PERSON", "US_SSN"]),
        Execution(a, count=4, status="error", shown=1, egress=[denied], duration_us=36_000),
        Execution(
            a,
            count=5,
            shown=2,
            masked=1,
            blocked=1,
            labels=["CREDIT_CARD"],
            duration_us=75_400_000,
            reads=[
                {
                    **read,
                    "path": "/srv/data/a-rather-long-name-of-claims-2026.parquet",
                    "dataset": None,
                }
            ],
        ),
        Execution(a, count=None, is_finished=False),
        Execution(b, notebook=None, count=1, status="killed", shown=0),
    )
    return lab_server


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_panel_shows_record_and_executions(recorded, page, screenshot, theme):
    open_lab(page, recorded, theme=f"JupyterLab {theme}")
    run_command(page, "Show Guard and Record")
    region = panel(page)
    expect(region.get_by_role("heading", name="No kernel")).to_be_visible()
    expect(region).to_contain_text("Open a notebook or console")
    expect(region.get_by_text(re.compile(r"Record verified · \d+ events"))).to_be_visible()
    region.get_by_role("button", name="All", exact=True).click()
    rows = region.locator(".jp-Cloister-row")
    expect(rows).to_have_count(25)
    expect(rows.nth(0)).to_contain_text("was killed")
    expect(rows.nth(2)).to_contain_text("1 output blocked")
    expect(rows.nth(2)).to_contain_text("1 min 15 s")
    expect(rows.nth(2)).to_contain_text("CREDIT_CARD")
    expect(rows.nth(3)).to_contain_text("paste.example.com:443")
    expect(rows.nth(5)).to_contain_text("patients.csv")
    screenshot(page, f"panel-{theme.lower()}")
    region.get_by_role("button", name="Load more").click()
    expect(rows).to_have_count(34)
    expect(region.get_by_role("button", name="Load more")).to_have_count(0)


def test_the_panel_is_reached_and_used_with_the_keyboard(recorded, page):
    open_lab(page, recorded)
    run_command(page, "Show Guard and Record")
    region = panel(page)
    expect(region.get_by_role("button", name="Refresh")).to_be_focused()
    page.keyboard.press("Tab")
    expect(region.get_by_role("button", name="Verify")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    everything = region.get_by_role("button", name="All", exact=True)
    expect(everything).to_be_focused()
    page.keyboard.press("Enter")
    expect(everything).to_have_attribute("aria-pressed", "true")
    expect(region.locator(".jp-Cloister-row").first).to_be_visible()


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_posture_follows_the_kernel_of_the_notebook(recorded, page, screenshot, theme):
    name = f"posture-{theme.lower()}.ipynb"
    write_notebook(recorded, name, ["1 + 1"], kernel=PLAIN)
    open_lab(page, recorded, name, theme=f"JupyterLab {theme}")
    item = status_item(page)
    expect(item).to_have_text("Not guarded", timeout=START_MS)
    sessions = recorded.request("GET", "api/sessions").json()
    kernel_id = next(s["kernel"]["id"] for s in sessions if s["path"].endswith(name))

    write_state(
        recorded.home,
        kernel_id,
        notebook=name,
        sandbox="none",
        guarantees=[
            {
                "id": "gate",
                "holds": True,
                "why": "every message of this kernel is scanned",
                "fix": "",
            },
            {
                "id": "sandbox",
                "holds": False,
                "why": "bubblewrap is not installed",
                "fix": "Install bubblewrap.",
            },
        ],
    )
    run_command(page, "Refresh Executions")
    expect(item).to_have_text("Degraded: no sandbox")
    item.click()
    region = panel(page)
    expect(region).to_contain_text("Install bubblewrap.")
    expect(region).to_contain_text("1 of 2 guarantees hold")
    screenshot(page, f"posture-degraded-{theme.lower()}")

    write_state(recorded.home, kernel_id, notebook=name)
    append(recorded.home, Execution(kernel_id, notebook=name, count=7, masked=1, labels=["US_SSN"]))
    # What the user does, not a button: the kernel comes to rest after a cell.
    page.locator(".jp-Cell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    expect(item).to_have_text("Guarded", timeout=START_MS)
    expect(region.locator(".jp-Cloister-row")).to_have_count(1)
    expect(region).to_contain_text("US_SSN")
    expect(region.get_by_role("heading", name="Guarded")).to_be_visible()
    assert "✓ gate" in page.locator(".jp-Cloister-statusItem").get_attribute("title")
    screenshot(page, f"posture-guarded-{theme.lower()}")


def test_a_server_without_the_extension_is_explained(recorded, page, screenshot):
    page.route("**/cloister/api/**", lambda route: route.fulfill(status=404, body="{}"))
    open_lab(page, recorded)
    run_command(page, "Show Guard and Record")
    expect(panel(page)).to_contain_text("The server part of Cloister is not running.")
    expect(panel(page)).to_contain_text('pip install "cloister[lab]"')
    screenshot(page, "server-part-missing")


# Last, because the record stays broken.
@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_a_record_that_was_changed_is_shown_as_not_intact(recorded, page, screenshot, theme):
    with sqlite3.connect(recorded.home.lineage_path) as database:
        database.execute(
            "UPDATE event SET header = CAST(replace(CAST(header AS TEXT), 'maya', 'mary') AS BLOB)"
            " WHERE seq = (SELECT min(seq) FROM event WHERE CAST(header AS TEXT) LIKE '%maya%'"
            " AND NOT EXISTS (SELECT 1 FROM event WHERE CAST(header AS TEXT) LIKE '%mary%'))"
        )
        changed = "SELECT min(seq) FROM event WHERE CAST(header AS TEXT) LIKE '%mary%'"
        (first_bad,) = database.execute(changed).fetchone()
    database.close()
    open_lab(page, recorded, theme=f"JupyterLab {theme}")
    run_command(page, "Verify the Record")
    region = panel(page)
    expect(region.get_by_text("Record is not intact")).to_be_visible()
    expect(region).to_contain_text(f"Event {first_bad} is the first that does not fit.")
    screenshot(page, f"record-not-intact-{theme.lower()}")
