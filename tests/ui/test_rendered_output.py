"""What a notebook renders cannot call out: a listener on loopback must hear nothing."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from labpage import START_MS, open_lab, wait_until_guarded, write_notebook
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def listener():
    """A server that notes every path that anybody asks for."""
    heard = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the base class names it

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", heard
    server.shutdown()


def test_a_rendered_output_reaches_no_other_host(lab_server, page, listener):
    address, heard = listener
    html = (
        f"<p id='rendered'>here</p><img src='{address}/img'>"
        f"<img src=x onerror=\"fetch('{address}/onerror')\">"
        f"<link rel=stylesheet href='{address}/css'>"
        f"<style>#rendered {{background: url({address}/background)}}</style>"
        f"<iframe src='{address}/iframe'></iframe><script>fetch('{address}/script')</script>"
        f"<video src='{address}/video' autoplay></video>"
        f"<form id=f action='{address}/form'></form>"
    )
    script = (
        f"fetch('{address}/js-fetch').catch(() => 0);"
        f"new Image().src = '{address}/js-image';"
        f"try {{ new WebSocket('{address.replace('http', 'ws')}/js-socket') }} catch (e) {{}}"
        f"navigator.sendBeacon('{address}/js-beacon');"
    )
    code = (
        "from IPython.display import HTML, Javascript, display\n"
        f"display(HTML({html!r}))\ndisplay(Javascript({script!r}))"
    )
    write_notebook(lab_server, "rendered.ipynb", [code])
    open_lab(page, lab_server, "rendered.ipynb")
    wait_until_guarded(page)
    page.locator(".jp-Cell .cm-content").first.click(timeout=START_MS)
    page.keyboard.press("Shift+Enter")
    expect(page.locator("#rendered")).to_be_visible(timeout=START_MS)
    page.wait_for_timeout(2_000)
    assert heard == []

    # The listener can be reached: a page without our header does so at once.
    free = page.context.browser.new_context().new_page()
    free.set_content(f"<img src='{address}/control'>")
    free.wait_for_timeout(500)
    assert heard == ["/control"]
    free.context.close()
