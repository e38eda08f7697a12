"""ipywidgets in JupyterLab behind the guard: drawn, moved by a person, answered by the kernel."""

from __future__ import annotations

import json
import re

import pytest
from labpage import START_MS, open_lab
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
    spec = {"name": "cloister", "display_name": "Python 3 (Cloister)", "language": "python"}
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "c0",
        "metadata": {},
        "outputs": [],
        "source": CODE,
    }
    notebook = {
        "cells": [cell],
        "metadata": {"kernelspec": spec},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (lab_server.root / "widgets.ipynb").write_text(json.dumps(notebook))
    open_lab(page, lab_server, "widgets.ipynb")
    item = page.get_by_role("button", name=re.compile("^Cloister: .*Open the panel"))
    expect(item).to_have_text("Guarded", timeout=START_MS)  # keys before that are lost
    page.locator(".jp-Cell .cm-content").first.click(timeout=START_MS)
    page.keyboard.press("Shift+Enter")
    label = page.locator(".widget-label", has_text="at ")
    expect(label).to_have_text("at 3", timeout=START_MS)
    page.locator(".widget-slider .noUi-handle").focus()
    page.keyboard.press("ArrowRight")
    expect(label).to_contain_text("at 4, US_SSN~")
    screenshot(page, "widgets")
