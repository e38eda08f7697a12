"""What browser tests do to a JupyterLab page."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress

from playwright.sync_api import TimeoutError as NotSeenError
from playwright.sync_api import expect

START_MS = 60_000

GUARDED = ("cloister", "Python 3 (Cloister)")
PLAIN = ("python3", "Python 3 (ipykernel)")


def write_notebook(server, name, sources, kernel=GUARDED):
    """Puts a notebook of code cells where the server serves it."""
    cells = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"c{i}",
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for i, source in enumerate(sources)
    ]
    spec = {"name": kernel[0], "display_name": kernel[1], "language": "python"}
    (server.root / name).write_text(
        json.dumps(
            {"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
        )
    )


def status_item(page):
    return page.get_by_role("button", name=re.compile("^Cloister: .*Open the panel"))


def wait_until_guarded(page):
    """Waits for the kernel; keys that are pressed before are lost."""
    expect(status_item(page)).to_have_text("Guarded", timeout=START_MS)


def open_lab(page, server, path="", theme="JupyterLab Light"):
    server.request(
        "PUT",
        "lab/api/settings/@jupyterlab/apputils-extension:themes",
        data=json.dumps({"raw": json.dumps({"theme": theme, "adaptive-theme": False})}),
    ).raise_for_status()
    page.goto(f"{server.url}lab{'/tree/' + path if path else ''}?reset&token={server.token}")
    # The launcher and the document come after JupyterLab has restored its layout, which would
    # close a panel that a test has opened before.
    opened = page.locator(".jp-Document:visible" if path else ".jp-Launcher:visible")
    expect(opened.first).to_be_visible(timeout=START_MS)
    expect(page.locator("#jupyterlab-splash")).to_have_count(0, timeout=START_MS)


def run_command(page, label):
    """Choose a command from the palette.

    While JupyterLab starts it does not hear the keys, and the palette draws its list anew with each
    command that an extension adds: each step is tried until the palette has closed on the choice.
    """
    field = page.locator(".lm-CommandPalette-input:visible")
    choice = page.locator(
        ".lm-CommandPalette-item.lm-mod-active:not(.lm-mod-disabled):visible", has_text=label
    )
    deadline = time.monotonic() + START_MS / 1000
    while time.monotonic() < deadline:
        with suppress(NotSeenError):
            if not field.is_visible():
                page.keyboard.press("Control+Shift+C")
            field.wait_for(timeout=2_000)
            field.fill(label, timeout=2_000)
            choice.wait_for(timeout=2_000)
            field.press("Enter", timeout=2_000)
            field.wait_for(state="hidden", timeout=2_000)
            return
    raise AssertionError(f"the command palette never took {label!r}")


def panel(page):
    return page.get_by_role("region", name="Cloister")
