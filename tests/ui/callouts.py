"""Who is called when the markup family is rendered: a listener, and the family as files.

Each case of the family names an address of its own, so that a call says which case made it. What
never gets as far as a request counts, too: a connection, and a datagram to a STUN server.
"""

from __future__ import annotations

import json
import socket
import threading
import time

import nbformat
from cloister.cli.drill.cases import load_corpus
from nbclient import NotebookClient
from nbformat import v4

DONE = "the whole family was shown"
#: They send the page elsewhere, or move all its addresses: what is shown late comes before them.
#: An answer without content (204) leaves the page where it is.
TAKE_THE_PAGE = (
    "markup-script-navigation",
    "markup-javascript-navigation",
    "markup-refresh",
    "markup-base",
)
_ANSWER = b"HTTP/1.1 204 No Content\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\n\r\n"
_SILENCE_S = 1.5
_MOST_WAIT_S = 8.0


class Listener:
    """A server on loopback that notes who calls, over TCP and UDP of one port."""

    def __init__(self):
        self._tcp = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._heard: list[str] = []
        self._last = time.monotonic()
        for work in (self._accept, self._receive):
            threading.Thread(target=work, daemon=True).start()

    def url(self, case):
        return f"http://127.0.0.1:{self.port}/{case}"

    def called(self, *, least_s=_SILENCE_S):
        """Returns who has called since the last time, once it has been silent for a while."""
        started = time.monotonic()
        while True:
            time.sleep(0.1)
            now = time.monotonic()
            is_silent = now - max(self._last, started) > least_s
            if is_silent or now - started > _MOST_WAIT_S:
                break
        heard, self._heard = self._heard, []
        return set(heard)

    def close(self):
        self._tcp.close()
        self._udp.close()

    def _note(self, who):
        self._heard.append(who)
        self._last = time.monotonic()

    def _receive(self):
        while True:
            try:
                self._udp.recvfrom(2048)
            except OSError:
                return
            self._note("a datagram")

    def _accept(self):
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection:
            connection.settimeout(1)
            try:
                data = connection.recv(4096)
                connection.sendall(_ANSWER)
            except OSError:
                data = b""
        words = data.split(b" ", 2)
        path = words[1].decode("latin-1") if len(words) > 2 else ""
        self._note(path.strip("/").split("/")[0].split("?")[0] or "a connection")


def family():
    """Returns the cases of the family, those that take the page away last."""
    cases = [case for case in load_corpus() if case.family == "markup"]
    return sorted(
        cases, key=lambda case: TAKE_THE_PAGE.index(case.id) if case.id in TAKE_THE_PAGE else -1
    )


def sources(cases, listener):
    """Returns the cells of a notebook that shows the cases, a dozen in each."""
    last = len(cases) - len(TAKE_THE_PAGE)
    codes = [f"get_ipython().run_cell({code!r})" for code in _codes(cases[:last], listener)]
    cells = ["\n".join(codes[i : i + 12]) for i in range(0, last, 12)]
    return [*cells, "import time; time.sleep(3)", *_codes(cases[last:], listener), _end()]


def _codes(cases, listener):
    return [f"beacon = {listener.url(case.id)!r}\n{case.code}" for case in cases]


def _end():
    said = DONE.split()
    return f"print({said[0]!r}, {' '.join(said[1:])!r})"


def planted(listener):
    """Returns a notebook that an unguarded kernel has written: every output as hostile as it was.

    Each text of an output is a Markdown cell, too.
    """
    cells = [*_codes(family(), listener), _end()]
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in cells])
    made = NotebookClient(notebook, kernel_name="python3", timeout=60, allow_errors=True).execute()
    texts = [text for _, _, text in _texts(made)]
    made.cells += [v4.new_markdown_cell(text) for text in texts]
    picture = {"x.svg": {"image/svg+xml": next(t for _, m, t in _texts(made) if "svg" in m)}}
    made.cells.append(v4.new_markdown_cell("![x](attachment:x.svg)", attachments=picture))
    return made


def _texts(notebook):
    """Yields case, type and text of each output that is markup."""
    for cell in notebook.cells:
        if cell.cell_type != "code" or not cell.source.startswith("beacon"):
            continue
        case = cell.source.split("'", 2)[1].rpartition("/")[2]
        for output in cell.outputs:
            for mime, text in output.get("data", {}).items():
                if mime in {"text/html", "text/markdown", "image/svg+xml", "text/latex"}:
                    yield case, mime, text


def write_files(root, notebook, listener):
    """Writes what a kernel could leave in the workspace, each page into ``pages``."""
    nbformat.write(notebook, root / "planted.ipynb")
    marked, whole = [], []
    (root / "pages").mkdir()
    for number, (case, mime, text) in enumerate(_texts(notebook)):
        suffix = {"text/html": "html", "image/svg+xml": "svg"}.get(mime)
        if suffix is None:
            marked.append(text)
            continue
        (root / "pages" / f"{number}-{case}.{suffix}").write_text(text)
        whole += [text] if suffix == "html" else []
    for name, texts in (("all.html", whole), ("all.md", [*marked, *whole])):
        # With a null character it would be no text, and the server would not show it at all.
        (root / name).write_text("\n\n".join(texts).replace("\0", ""))
    image = f"<img src='{listener.url('file')}'>"
    (root / "table.csv").write_text(f"a,b\n{image},=HYPERLINK({listener.url('file')})\n")
    (root / "data.json").write_text(json.dumps({"html": image, "url": listener.url("file")}))
    chart = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "mark": "point",
        "data": {"url": listener.url("vega-file")},
    }
    (root / "chart.vl.json").write_text(json.dumps(chart))
