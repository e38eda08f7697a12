"""Rendered output: what calls out is taken, what does not stays the identical object."""

from __future__ import annotations

import pytest
from cloister.detect.markup import neutralise

_MARK = "evil.example"
_URL = f"http://{_MARK}/x"


@pytest.mark.parametrize(
    "markup",
    [
        f"<img src={_URL}>",
        f"<img srcset='{_URL} 2x'>",
        f"<p style='background:u\\72l({_URL})'>x</p>",
        f"<style>@import '{_URL}';</style>",
        f"<script>fetch('{_URL}')</script>",
        f"<img src=x onerror=\"fetch('{_URL}')\">",
        f"<iframe srcdoc='&lt;img src={_URL}&gt;'></iframe>",
        f"<meta http-equiv=refresh content='0;url={_URL}'>",
        f"<base href='{_URL}'><img src=x.png>",
        f"<a href='#' ping='{_URL}'>x</a>",
        f"<a href='{_URL}?value=1'>x</a>",
        f"<svg><use href='{_URL}#x'/></svg>",
        f"<svg><style>&#64;import '{_URL}'</style></svg>",
        "<math><mtext><table><mglyph><style><!--</style>"
        f'<img title="--&gt;&lt;img src={_URL}&gt;" src="{_URL}">',
        f'<noscript><p title="</noscript><img src={_URL}>"></noscript>',
        f"<IMG/SRC={_URL}>",
    ],
)
def test_markup_that_calls_out_no_longer_names_its_address(markup):
    cleaned = neutralise("text/html", markup)
    assert cleaned.removed
    assert f"{_MARK}/x" not in cleaned.value.replace("&lt;", "") or "<img" not in cleaned.value
    assert neutralise("text/html", cleaned.value).value == cleaned.value


@pytest.mark.parametrize(
    "markup",
    [
        "<p>a &lt; b</p>",
        "<a href='https://docs.example/guide'>guide</a>",
        "<img src='data:image/png;base64,AAAA' alt='x'>",
        "<table border='1' class='dataframe'><tr><td style='color: red'>1</td></tr></table>",
    ],
)
def test_harmless_markup_is_the_same_object(markup):
    assert neutralise("text/html", markup).value is markup


def test_a_remote_image_of_markdown_becomes_no_image():
    assert "![" not in neutralise("text/markdown", f"![x]({_URL}) ![y][r]\n\n[r]: {_URL}").value


def test_markdown_keeps_local_images_code_and_links():
    text = "# a\n\n![x](data:image/png;base64,AAAA) `a < b` [d](https://docs.example/guide)"
    assert neutralise("text/markdown", text).value is text


def test_a_specification_loads_no_data_and_no_code():
    spec = {"data": {"url": _URL}, "config": {"loader": {"baseURL": _URL}}, "values": [1, 2.5]}
    cleaned = neutralise("application/vnd.vega.v5+json", spec)
    assert _MARK not in str(cleaned.value)
    assert cleaned.value["values"] == [1, 2.5]
