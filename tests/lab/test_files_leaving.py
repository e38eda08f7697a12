"""Files as a client of a real server gets them: masked where that can be had, else not at all."""

from __future__ import annotations

import base64
import gzip
import io
import json
import pickle  # noqa: TID251 - written here, and never read
import zipfile

import nbformat
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from labserver import make_home, run_server

SSN = "512-34-6789"
OTHER = "219-09-9871"
CSV = f"name,ssn,city\nMaria Lindqvist,{SSN},Lund\nOmar Haddad,{OTHER},Malmo\n"


def output(text):
    return {"output_type": "stream", "name": "stdout", "text": text}


def notebook(*sources, outputs=()):
    cells = [
        {
            "cell_type": "code",
            "id": f"c{n}",
            "source": source,
            "metadata": {},
            "outputs": list(outputs) if n == 0 else [],
            "execution_count": None,
        }
        for n, source in enumerate(sources)
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def write(server, name, content):
    path = server.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def contents(server, path, **params):
    return server.request("GET", f"api/contents/{path}", params=params)


def ranged(server, path, spec):
    headers = {"Authorization": f"token {server.token}", "Range": spec}
    return requests.get(f"{server.url}{path}", headers=headers, timeout=30)


def put(server, path, **model):
    return server.request("PUT", f"api/contents/{path}", json=model)


def test_a_table_is_opened_masked_and_read_only(server):
    write(server, "t.csv", CSV)
    model = contents(server, "t.csv").json()
    assert SSN not in model["content"]
    assert OTHER not in model["content"]
    assert "US_SSN~" in model["content"]
    assert "Lund" in model["content"]
    assert model["writable"] is False


@pytest.mark.parametrize("params", [{}, {"format": "text"}, {"format": "base64"}, {"type": "file"}])
def test_no_way_to_ask_for_a_table_shows_its_values(server, params):
    write(server, "ways.csv", CSV)
    content = contents(server, "ways.csv", **params).json()["content"]
    if params.get("format") == "base64":
        content = base64.decodebytes(content.encode()).decode()
    assert "US_SSN~" in content
    assert SSN not in content


@pytest.mark.parametrize("name", ["d.csv", "d.txt", "d.html", "d.json", "d.ipynb", "d", "d.bin"])
def test_downloads_are_masked_whatever_the_file_is_called(server, name):
    write(server, name, CSV)
    answer = server.request("GET", f"files/{name}", params={"download": 1})
    assert answer.status_code == 200
    assert SSN not in answer.text
    assert "US_SSN~" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Etag" not in answer.headers


@pytest.mark.parametrize(
    "path",
    ["files/r.csv", "files//r.csv", "files/./r.csv", "files/x/../r.csv", "files/%72.csv"],
)
def test_no_spelling_of_a_path_goes_around(server, path):
    write(server, "r.csv", CSV)
    (server.root / "x").mkdir(exist_ok=True)
    assert SSN not in server.request("GET", path).text


def test_a_range_gets_the_whole_masked_file(server):
    write(server, "range.csv", CSV)
    whole = server.request("GET", "files/range.csv").content
    at = CSV.index(SSN)
    for spec in (f"bytes={at}-{at + 5}", f"bytes={at + 6}-{at + 10}", "bytes=-20"):
        request = ranged(server, "files/range.csv", spec)
        assert request.status_code == 200
        assert request.content == whole


def test_head_says_no_more_than_get(server):
    write(server, "head.csv", CSV)
    got = server.request("GET", "files/head.csv")
    head = server.request("HEAD", "files/head.csv")
    assert head.status_code == 200
    assert head.headers["Content-Length"] == str(len(got.content)) != str(len(CSV))


def test_a_link_out_of_the_workspace_leads_nowhere(server, tmp_path):
    (tmp_path / "secret.txt").write_text("a word of the host")
    (server.root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (server.root / "folder").symlink_to(tmp_path)
    for path in ("link.txt", "folder/secret.txt"):
        for answer in (server.request("GET", f"files/{path}"), contents(server, path)):
            assert answer.status_code == 403
            assert "CLO-FILES-009" in answer.text
    assert contents(server, "folder").status_code == 403
    assert put(server, "link.txt", type="file", format="text", content="x").status_code == 403
    copied = server.request("POST", "api/contents", json={"copy_from": "link.txt"})
    assert copied.status_code == 403
    assert server.request("POST", "api/contents/link.txt/checkpoints").status_code == 403
    assert (tmp_path / "secret.txt").read_text() == "a word of the host"


def _zip(name, body):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, body)
    return out.getvalue()


def _parquet():
    out = io.BytesIO()
    pq.write_table(pa.table({"ssn": [SSN, OTHER], "city": ["Lund", "Malmo"]}), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "make", "code"),
    [
        ("b.parquet", _parquet, "CLO-FILES-001"),
        ("b.zip", lambda: _zip("in.csv", CSV), "CLO-FILES-001"),
        ("b.xlsx", lambda: _zip("xl/sharedStrings.xml", f"<t>{SSN}</t>"), "CLO-FILES-001"),
        ("n.zip", lambda: _zip("a.zip", _zip("in.csv", CSV)), "CLO-FILES-001"),
        ("named.zip", lambda: _zip(f"{SSN}.txt", "x"), "CLO-FILES-001"),
        ("b.csv.gz", lambda: gzip.compress(CSV.encode()), "CLO-FILES-001"),
        ("b.pkl", lambda: pickle.dumps({"x": b"\0" * 9, "k": [SSN]}), "CLO-FILES-001"),
        ("u.pkl", lambda: pickle.dumps(list(range(300))), "CLO-FILES-002"),
        ("u.pdf", lambda: b"%PDF-1.7\n\0\1\2\3 stream", "CLO-FILES-002"),
    ],
)
def test_what_cannot_be_masked_does_not_leave_and_the_answer_says_why(server, name, make, code):
    write(server, name, make())
    answer = server.request("GET", f"files/{name}")
    assert answer.status_code == 403
    problem = answer.json()
    assert problem["code"] == code
    assert problem["rule"]
    assert problem["remedy"]
    assert SSN not in answer.text
    opened = contents(server, name, type="file", format="base64")
    assert opened.status_code == 403
    assert code in opened.json()["message"]


def test_files_without_values_are_the_same_bytes(server):
    clean = _zip("a.csv", "a,b\n1,2\n")
    picture = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
    table = io.BytesIO()
    pq.write_table(pa.table({"x": [1, 2, 3]}), table)
    for name, body in (
        ("c.zip", clean),
        ("c.png", picture),
        ("c.parquet", table.getvalue()),
        ("c.py", b"print('\xc3\xa5')\r\n"),
    ):
        write(server, name, body)
        assert server.request("GET", f"files/{name}").content == body
        model = contents(server, name, type="file", format="base64").json()
        assert base64.decodebytes(model["content"].encode()) == body
        assert model["writable"] is True


def test_a_notebook_is_opened_and_exported_without_values(server):
    body = notebook(f"ssn = '{OTHER}'", "1 + 1", outputs=[output(f"ssn {SSN}\n")])
    write(server, "n.ipynb", json.dumps(body))
    for path in ("api/contents/n.ipynb", "files/n.ipynb", "nbconvert/html/n.ipynb"):
        answer = server.request("GET", path)
        assert answer.status_code == 200
        assert SSN not in answer.text
        assert OTHER not in answer.text
        assert "US_SSN~" in answer.text
    for kind in ("script", "markdown", "notebook", "rst", "latex", "asciidoc", "python"):
        answer = server.request("GET", f"nbconvert/{kind}/n.ipynb")
        assert SSN not in answer.text
        assert OTHER not in answer.text
    posted = server.request(
        "POST", "nbconvert/html", json={"content": body, "name": "n.ipynb", "type": "notebook"}
    )
    assert posted.status_code == 200
    assert SSN not in posted.text


def test_saving_masked_text_over_a_file_is_refused_and_changes_nothing(server):
    path = write(server, "keep.csv", CSV)
    shown = contents(server, "keep.csv").json()["content"]
    for text in (shown + "new,row,\n", shown.upper(), ""):
        answer = put(server, "keep.csv", type="file", format="text", content=text)
        assert answer.status_code == 403
        assert "CLO-FILES-004" in answer.json()["message"]
        assert path.read_text() == CSV
    chunk = put(server, "keep.csv", type="file", format="text", content=shown, chunk=1)
    assert chunk.status_code == 403
    assert path.read_text() == CSV


def test_saving_a_masked_file_unchanged_keeps_its_bytes(server):
    path = write(server, "same.csv", CSV)
    shown = contents(server, "same.csv").json()["content"]
    assert put(server, "same.csv", type="file", format="text", content=shown).status_code == 200
    assert path.read_text() == CSV


def test_saving_a_notebook_gives_its_cells_their_source_back(server):
    path = write(
        server, "own.ipynb", json.dumps(notebook(f"a = '{SSN}'", f"b = '{OTHER}'", "c = 3"))
    )
    shown = contents(server, "own.ipynb").json()["content"]
    assert SSN not in json.dumps(shown)
    shown["cells"][1]["source"] += "  # edited"
    shown["cells"].append({"cell_type": "markdown", "id": "n1", "source": "new", "metadata": {}})
    assert put(server, "own.ipynb", type="notebook", content=shown).status_code == 200
    stored = nbformat.read(path, 4)
    assert [c.source for c in stored.cells] == [
        f"a = '{SSN}'",
        f"b = '{OTHER}'  # edited",
        "c = 3",
        "new",
    ]


def test_outputs_are_masked_when_a_notebook_is_saved(server):
    body = notebook(
        "x",
        outputs=[
            output(f"ssn {SSN}\n"),
            output("512-"),
            output("34-6789"),
            {
                "output_type": "display_data",
                "metadata": {"note": OTHER},
                "data": {"application/vnd.unknown+json": {"deep": [{"a": [f"ssn {OTHER}"]}]}},
            },
            output("fine\n"),
        ],
    )
    body["metadata"]["widgets"] = {"state": {"v": f"ssn {SSN}"}}
    assert put(server, "saved.ipynb", type="notebook", content=body).status_code == 201
    text = (server.root / "saved.ipynb").read_text()
    assert SSN not in text
    assert OTHER not in text
    assert "6789" not in text
    assert "fine" in text
    nbformat.validate(nbformat.read(server.root / "saved.ipynb", 4))


def test_copies_and_checkpoints_keep_real_bytes_and_leave_masked(server):
    write(server, "orig.csv", CSV)
    copied = server.request("POST", "api/contents", json={"copy_from": "orig.csv"}).json()
    assert (server.root / copied["path"]).read_text() == CSV
    assert SSN not in server.request("GET", f"files/{copied['path']}").text
    made = server.request("POST", "api/contents/orig.csv/checkpoints")
    assert made.status_code == 201
    (server.root / "orig.csv").write_text("gone")
    restored = server.request("POST", f"api/contents/orig.csv/checkpoints/{made.json()['id']}")
    assert restored.status_code == 204
    assert (server.root / "orig.csv").read_text() == CSV


def test_listings_do_not_show_values_in_names(server):
    (server.root / "names").mkdir(exist_ok=True)
    write(server, f"names/{SSN}.txt", "x")
    listing = contents(server, "names")
    assert SSN not in listing.text
    assert "US_SSN~" in listing.text


def test_a_hash_of_a_file_cannot_be_tried_out(server):
    import hashlib

    write(server, "h.csv", CSV)
    model = contents(server, "h.csv", hash=1).json()
    assert model["hash"]
    assert model["hash"] != hashlib.sha256(CSV.encode()).hexdigest()
    assert contents(server, "h.csv", hash=1, content=0).json()["hash"] == model["hash"]


def test_a_changed_file_with_the_same_size_and_times_is_looked_at_again(server):
    import os

    clean = "x" * len(SSN)
    path = write(server, "swap.txt", clean)
    times = path.stat()
    assert server.request("GET", "files/swap.txt").text == clean
    path.write_text(SSN)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert SSN not in server.request("GET", "files/swap.txt").text


def test_what_leaves_masked_or_not_at_all_is_recorded_without_values(server):
    from cloister.store.lineage_reader import LineageReader

    write(server, "rec.csv", CSV)
    server.request("GET", "files/rec.csv")
    events = [e for e in LineageReader(server.home).entries() if e.type == "file.leaving"]
    assert any(e.body["file"] == "rec.csv" and e.body["outcome"] == "mask" for e in events)
    assert SSN not in json.dumps([e.body for e in events])


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    base = tmp_path_factory.mktemp("strict")
    home = make_home(base / "home")
    home.policy_path.write_text(
        "version: 1\n"
        "files: {view: mask, download: {confidential: mask, restricted: block}, saving: refuse,"
        " unreadable: allow, most_bytes: 5000}\n"
    )
    with run_server(base, home) as running:
        yield running


def test_policy_decides_by_level_and_destination(strict):
    write(strict, "p.csv", CSV)
    assert strict.request("GET", "files/p.csv").json()["code"] == "CLO-FILES-001"
    assert "US_SSN~" in contents(strict, "p.csv").json()["content"]
    write(strict, "u.pkl", pickle.dumps(list(range(300))))
    assert strict.request("GET", "files/u.pkl").status_code == 200


def test_policy_may_refuse_to_save_values(strict):
    body = notebook("x", outputs=[output(f"ssn {SSN}\n")])
    answer = put(strict, "no.ipynb", type="notebook", content=body)
    assert answer.status_code == 403
    assert "CLO-FILES-005" in answer.json()["message"]
    assert not (strict.root / "no.ipynb").exists()


def test_a_broken_policy_stops_every_file(tmp_path):
    home = make_home(tmp_path / "home")
    with run_server(tmp_path, home) as server:
        write(server, "ok.txt", "hello")
        assert server.request("GET", "files/ok.txt").text == "hello"
        home.policy_path.write_text("version: 99\n")
        assert server.request("GET", "files/ok.txt").json()["code"] == "CLO-FILES-006"
        assert contents(server, "ok.txt").status_code == 403


@pytest.mark.parametrize(
    "manager",
    [
        "jupyter_server.services.contents.filemanager.FileContentsManager",
        "jupyter_server.services.contents.filemanager.AsyncFileContentsManager",
        "jupyter_server.services.contents.largefilemanager.LargeFileManager",
    ],
)
def test_whatever_manager_an_admin_has_chosen_is_guarded(tmp_path, manager):
    config = f"c = get_config()\nc.ServerApp.contents_manager_class = '{manager}'\n"
    with run_server(tmp_path, make_home(tmp_path / "home"), config=config) as server:
        write(server, "m.csv", CSV)
        write(server, "m.ipynb", json.dumps(notebook(f"a = '{SSN}'")))
        assert SSN not in contents(server, "m.csv").text
        assert SSN not in server.request("GET", "files/m.csv").text
        shown = contents(server, "m.ipynb").json()["content"]
        assert SSN not in json.dumps(shown)
        assert put(server, "m.ipynb", type="notebook", content=shown).status_code == 200
        assert SSN in (server.root / "m.ipynb").read_text()
        copied = server.request("POST", "api/contents", json={"copy_from": "m.csv"}).json()
        assert (server.root / copied["path"]).read_text() == CSV
