"""What browser tests do to a JupyterLab page."""

from __future__ import annotations

import json
from contextlib import suppress

from playwright.sync_api import TimeoutError as NotSeenError
from playwright.sync_api import expect

START_MS = 60_000


def open_lab(page, server, path="", theme="JupyterLab Light"):
    server.request(
        "PUT",
        "lab/api/settings/@jupyterlab/apputils-extension:themes",
        data=json.dumps({"raw": json.dumps({"theme": theme, "adaptive-theme": False})}),
    ).raise_for_status()
    page.goto(f"{server.url}lab{'/tree/' + path if path else ''}?reset&token={server.token}")
    expect(page.locator("#jp-main-dock-panel")).to_be_visible(timeout=START_MS)


def run_command(page, label):
    field = page.locator(".lm-CommandPalette-input:visible")
    for _ in range(10):
        # While JupyterLab still starts, it does not hear the keys.
        page.keyboard.press("Control+Shift+C")
        with suppress(NotSeenError):
            field.wait_for(timeout=2_000)
            break
    field.fill(label)
    page.locator(".lm-CommandPalette-item:visible", has_text=label).first.click()


def panel(page):
    return page.get_by_role("region", name="Cloister")
