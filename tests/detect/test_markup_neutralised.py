"""Rendered output: what calls out is taken, what does not stays the identical object."""

from __future__ import annotations

import pytest
from cloister.detect import markupgrammar
from cloister.detect.markup import neutralise
from hypothesis import given, settings
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    "rule",
    [
        f"@import '{_URL}';",
        f"@import url({_URL}) layer(x);",
        f"@font-face {{ font-family: x; src: url({_URL}) }}",
        f"p {{ background: url( '{_URL}' ) }}",
        f"input[value^='a'] {{ background: URL({_URL}?a) }}",
        f"p {{ background: image-set('{_URL}' 1x, url({_URL}) 2x) }}",
        f"p {{ background: -webkit-image-set(url({_URL}) 1x) }}",
        f"p {{ background: u\\72l({_URL}) }}",
        f"p {{ background: url({_URL}",
        f"p {{ background: url(\"{_URL}') }}",
        f"@\\69mport '{_URL}';",
        f"&#64;import '{_URL}';",
    ],
)
@pytest.mark.parametrize("around", ["{}", "<svg><style>{}</style></svg>", "<b onclick=x>y</b>{}"])
def test_a_style_sheet_keeps_its_looks_and_loses_its_addresses(rule, around):
    sheet = f"td {{ color: red }} {rule}"
    cleaned = neutralise("text/html", around.format(f"<style>{sheet}</style>")).value
    assert _MARK not in cleaned.replace("url(", "") or "url" not in cleaned.lower()
    assert not {"@import", "@font-face", "image-set("} & set(cleaned.lower().split())
    assert neutralise("text/html", cleaned).value == cleaned


def test_the_diagram_of_a_model_keeps_its_style():
    from sklearn.linear_model import LogisticRegression

    cleaned = neutralise("text/html", LogisticRegression()._repr_html_()).value
    assert "<style>" in cleaned
    assert "div.sk-text-repr-fallback" in cleaned
    assert "onclick" not in cleaned
    assert "<script" not in cleaned


def test_escapes_of_a_style_that_spell_no_keyword_are_characters():
    style = "<style>p::before { content: '\\25B8' } q { background: url(#here) }</style>"
    assert "content: '▸'" in neutralise("text/html", style).value


_MARKUP = st.sampled_from(
    [
        "<td>",
        "</td>",
        "<TR class='a'>",
        '<th style="text-align: right;">',
        "<p style='color:red'>",
        "<style>",
        "<style scoped>",
        "</style>",
        "<img src=x.png>",
        "<a href='#a'>",
        "<svg>",
        "<b",
        "'",
        ">",
        "<",
        " id=x",
        " onclick=x",
        ' style="',
        '"',
        "url(",
        "@import",
        "a { color: #fff }",
        "1.5",
        "<!-- c -->",
        "&amp;",
        "\\",
        "\n",
        "/",
        "(",
        "type=image",
    ]
)


@settings(max_examples=500)
@given(st.lists(_MARKUP, max_size=12))
def test_what_the_short_grammar_accepts_the_whole_judge_accepts(pieces):
    text = "".join(pieces)
    if markupgrammar._BARE.fullmatch(text.encode()):
        assert markupgrammar._PLAIN.fullmatch(text.encode())
        # Words of a style count for the whole judge where no style is, too.
        in_markup = markupgrammar.ONE_TAG.findall(text)
        assert all(markupgrammar.has_local_addresses(tag) for tag in in_markup)


def test_tables_of_pandas_need_the_short_grammar_only():
    table = (
        "<div>\n<style scoped>\n    .dataframe tbody tr th { vertical-align: top; }\n</style>\n"
        '<table border="1" class="dataframe"><tr style="text-align: right;">'
        "<td>1.5</td></tr></table>"
    )
    assert markupgrammar._BARE.fullmatch(table.encode())
    assert not markupgrammar._BARE.fullmatch(table.replace("top", "url(x)").encode())
    assert not markupgrammar._BARE.fullmatch(table.replace("<td>", "<td><img src=x>").encode())
