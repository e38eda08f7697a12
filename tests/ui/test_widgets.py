"""ipywidgets in JupyterLab behind the guard: drawn, moved by a person, answered by the kernel."""

from __future__ import annotations

import pytest
from labpage import START_MS, open_lab, wait_until_guarded, write_notebook
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CODE = (
    "from ipywidgets import IntSlider, Label, VBox\n"
    "slider, label = IntSlider(3), Label('at 3')\n"
    "slider.observe(lambda c: setattr(label, 'value', f\"at {c['new']}, 219-\" + '09-9871'), "
    "'value')\n"
    "VBox([slider, label])"
)


def test_a_slider_moves_and_the_kernel_answers_masked(lab_server, page, screenshot):
    write_notebook(lab_server, "widgets.ipynb", [CODE])
    open_lab(page, lab_server, "widgets.ipynb")
    wait_until_guarded(page)
    page.locator(".jp-Cell .cm-content").first.click(timeout=START_MS)
    page.keyboard.press("Shift+Enter")
    label = page.locator(".widget-label", has_text="at ")
    expect(label).to_have_text("at 3", timeout=START_MS)
    page.locator(".widget-slider .noUi-handle").focus()
    page.keyboard.press("ArrowRight")
    expect(label).to_contain_text("at 4, US_SSN~")
    screenshot(page, "widgets")
