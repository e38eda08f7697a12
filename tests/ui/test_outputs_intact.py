"""What people really show: it looks as it should, and no page asks for what its policy forbids."""

from __future__ import annotations

import base64
import json

import pytest
from labpage import START_MS, open_lab, wait_until_guarded, write_notebook
from labserver import make_home, run_server
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WIDGET = """import anywidget, traitlets
class Counter(anywidget.AnyWidget):
    _esm = "export default { render({ el }) { el.innerText = 'drawn by its code' } }"
    n = traitlets.Int(0).tag(sync=True)
Counter()"""
CHART = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "data": {"values": [{"a": "x", "b": 3}, {"a": "y", "b": 5}]},
    "mark": "bar",
    "encoding": {
        "x": {"field": "a", "type": "nominal"},
        "y": {"field": "b", "type": "quantitative"},
    },
}
CELLS = [
    "import numpy as np, pandas as pd\nfrom IPython.display import *\n"
    "pd.DataFrame({'a': [1.5]}).style.highlight_max(color='gold').set_caption('Styled')",
    "from sklearn.linear_model import LogisticRegression\nLogisticRegression()",
    "import xarray as xr\nxr.Dataset({'t': ('x', np.zeros(2))})",
    "import matplotlib.pyplot as plt\nplt.figure(figsize=(2, 1)); plt.plot([1, 2]); plt.show()",
    "%config InlineBackend.figure_formats = ['svg']\n"
    "plt.figure(figsize=(2, 1)); plt.plot([1, 2]); plt.show()",
    "import plotly.express as px\npx.scatter(x=[1, 2], y=[3, 1])",
    f"display({{'application/vnd.vegalite.v5+json': {CHART!r}}}, raw=True)",
    "import ipywidgets as w\nw.VBox([w.IntSlider(description='n'), w.HTML('<b>bold</b>')])",
    "display(Markdown('**strong** $x^2$'), Latex(r'$$\\frac13$$'), JSON({'k': [1]}))",
    "Audio(np.sin(np.linspace(0, 900, 8000)), rate=8000)",
    "import rich, rich.table\ntable = rich.table.Table('head'); table.add_row('cell')\n"
    "rich.print(table)",
    WIDGET,
    "print('the', 'end')",
]
FILES = {
    "t.csv": b"a,b\n1,2\n",
    "m.md": b"# words\n\n$x$\n",
    "j.json": b'{"a": 1}',
    "h.html": b"<h1>page</h1><style>h1 { color: red }</style>",
    "p.png": base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    ),
    "c.vl.json": json.dumps(CHART).encode(),
}
NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener('securitypolicyviolation', event =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


def run_all(page, server, cells):
    write_notebook(server, "shown.ipynb", cells)
    raw = json.dumps({"raw": json.dumps({"windowingMode": "none"})})
    server.request("PUT", "lab/api/settings/@jupyterlab/notebook-extension:tracker", data=raw)
    open_lab(page, server, "shown.ipynb")
    wait_until_guarded(page)
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells') }")
    expect(page.get_by_text("the end", exact=True)).to_be_visible(timeout=START_MS)


def start(tmp_path_factory, policy=""):
    base = tmp_path_factory.mktemp("intact")
    home = make_home(base / "home")
    if policy:
        home.policy_path.write_text(policy)
    config = "c = get_config()\nc.LabApp.expose_app_in_browser = True\n"
    return run_server(base, home, app="jupyterlab", config=config)


def test_common_outputs_are_whole_and_violate_no_policy(tmp_path_factory, page, screenshot):
    errors = []
    page.add_init_script(NOTE_VIOLATIONS)
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    with start(tmp_path_factory) as server:
        run_all(page, server, CELLS)
        cell = [page.locator(".jp-Cell").nth(number) for number in range(len(CELLS))]
        gold = cell[0].locator("td", has_text="1.5")
        expect(gold).to_have_css("background-color", "rgb(255, 215, 0)")
        expect(cell[1].locator(".sk-text-repr-fallback")).to_be_hidden()
        expect(cell[1].locator("label.sk-toggleable__label")).to_be_visible()
        expect(cell[2].locator(".xr-wrap")).to_be_visible()
        expect(cell[3].locator("img")).to_be_visible()
        expect(cell[4].locator("img, svg").first).to_be_visible()
        expect(cell[5].locator(".js-plotly-plot .point").first).to_be_visible()
        expect(cell[6].locator("canvas, svg.marks").first).to_be_visible()
        expect(cell[7].locator(".noUi-handle")).to_be_visible()
        expect(cell[8].locator("strong")).to_have_text("strong")
        expect(cell[8].locator("mjx-container")).to_have_count(2)
        expect(cell[9].locator("audio")).to_be_visible()
        expect(cell[10].get_by_text("head", exact=True)).to_be_visible()
        expect(cell[11].get_by_text("CLO-OUTPUT-009: A widget was withheld")).to_be_visible()
        expect(cell[11].locator(".jp-RenderedHTMLCommon, iframe, .error")).to_have_count(0)
        screenshot(page, "outputs-intact")
        for name, content in FILES.items():
            (server.root / name).write_bytes(content)
            options = json.dumps(
                {"path": name} | ({"factory": "Markdown Preview"} if name == "m.md" else {})
            )
            page.evaluate(
                "text => { jupyterapp.commands.execute('docmanager:open', JSON.parse(text)) }",
                options,
            )
            expect(page.locator(".lm-TabBar-tab.lm-mod-current", has_text=name)).to_be_visible()
            page.wait_for_timeout(500)
        page.evaluate("() => { jupyterapp.commands.execute('help:about') }")
        expect(page.locator(".jp-About-body")).to_be_visible()
        assert page.evaluate("window.violations") == []
        assert errors == []


def test_where_the_policy_lets_scripts_out_widgets_bring_their_code(tmp_path_factory, page):
    with start(tmp_path_factory, "version: 1\noutput: {scripts: allow}\n") as server:
        run_all(page, server, [WIDGET, "print('the', 'end')"])
        expect(page.get_by_text("drawn by its code", exact=True)).to_be_visible()
