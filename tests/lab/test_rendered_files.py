"""Notebooks and pages from disk: shown so that they call nobody, kept as they are."""

from __future__ import annotations

import json

import pytest
import requests
from labserver import make_home, run_server

AWAY = "https://away.example/x"
SCRIPT = f"<script>location.href = '{AWAY}'</script>"
SSN = "512-34-6789"


def display(**data):
    return {"output_type": "display_data", "metadata": {}, "data": data}


OUTPUTS = [
    display(**{"text/html": SCRIPT}),
    display(**{"text/html": f"<p>seen {SSN}</p><img src='{AWAY}'>"}),
    display(**{"application/javascript": f"fetch('{AWAY}')", "text/plain": "plain"}),
    display(**{"application/vnd.vegalite.v5+json": {"mark": "bar", "data": {"url": AWAY}}}),
]


def notebook(*outputs, minor=5, markdown="# words"):
    cells = [
        {"cell_type": "code", "source": "x = 1", "outputs": list(outputs), "execution_count": 1},
        {"cell_type": "markdown", "source": markdown},
        {"cell_type": "raw", "source": SCRIPT},
    ]
    for number, cell in enumerate(cells):
        cell["metadata"] = {}
        if minor >= 5:
            cell["id"] = f"c{number}"
    state = {
        "model_module": AWAY,
        "model_name": "x",
        "state": {"_esm": f"fetch('{AWAY}')", "_model_module": AWAY},
    }
    widgets = {"application/vnd.jupyter.widget-state+json": {"state": {"m1": state}}}
    metadata = {"widgets": widgets, "kernelspec": {"name": "cloister", "display_name": "C"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}


def write(server, name, body):
    path = server.root / name
    path.write_text(body if isinstance(body, str) else json.dumps(body))
    return path


def shown(server, name):
    answer = server.request("GET", f"api/contents/{name}")
    answer.raise_for_status()
    return answer.json()["content"]


def save(server, name, content):
    answer = server.request(
        "PUT", f"api/contents/{name}", json={"type": "notebook", "content": content}
    )
    answer.raise_for_status()


@pytest.mark.parametrize("is_trusted", [False, True])
def test_a_notebook_from_disk_names_no_address_in_what_it_renders(server, is_trusted):
    write(server, "h.ipynb", notebook(*OUTPUTS))
    if is_trusted:
        server.request("POST", "api/contents/h.ipynb/trust").raise_for_status()
    content = shown(server, "h.ipynb")
    assert content["cells"][0]["metadata"].get("trusted", False) is is_trusted
    rendered = json.dumps([content["cells"][0]["outputs"], content["metadata"]])
    assert "away.example" not in rendered
    assert "CLO-OUTPUT-009" in content["cells"][0]["outputs"][0]["data"]["text/plain"]
    assert content["cells"][2]["source"] == SCRIPT  # its author's, and no browser renders it


@pytest.mark.parametrize("minor", [4, 5])
def test_saving_keeps_what_was_not_shown(server, minor):
    path = write(server, "k.ipynb", notebook(*OUTPUTS, minor=minor))
    content = shown(server, "k.ipynb")
    content["cells"][1]["source"] = "# other words"
    content["metadata"]["language_info"] = {"name": "python"}
    save(server, "k.ipynb", content)
    kept = json.loads(path.read_text())
    outputs = kept["cells"][0]["outputs"]
    assert outputs[0]["data"]["text/html"] == [SCRIPT]
    assert json.dumps(outputs).count("away.example") == json.dumps(OUTPUTS).count("away.example")
    assert SSN not in path.read_text()  # values are not kept, as ever
    assert "away.example" in json.dumps(kept["metadata"]["widgets"])
    assert "other words" in json.dumps(kept["cells"][1])


def test_a_cell_that_ran_again_keeps_its_new_outputs_only(server):
    path = write(server, "r.ipynb", notebook(*OUTPUTS))
    content = shown(server, "r.ipynb")
    content["cells"][0]["outputs"] = [display(**{"text/plain": "new"})]
    save(server, "r.ipynb", content)
    outputs = json.loads(path.read_text())["cells"][0]["outputs"]
    assert [output["data"] for output in outputs] == [{"text/plain": ["new"]}]


def test_harmless_outputs_are_shown_as_they_are(server):
    fine = display(**{"text/html": "<table><tr><td style='color: red'>1</td></tr></table>"})
    write(server, "f.ipynb", notebook(fine))
    assert shown(server, "f.ipynb")["cells"][0]["outputs"] == [fine]


@pytest.mark.parametrize("kind", ["html", "slides", "markdown", "notebook"])
def test_exports_call_nobody(server, kind):
    source = f"![x]({AWAY}) <meta http-equiv=refresh content='0;url={AWAY}'>"
    body = notebook(*OUTPUTS, markdown=source)
    write(server, "e.ipynb", body)
    posted = {"content": body, "name": "e.ipynb", "type": "notebook"}
    for answer in (
        server.request("GET", f"nbconvert/{kind}/e.ipynb"),
        server.request("POST", f"nbconvert/{kind}", json=posted),
    ):
        answer.raise_for_status()
        assert "<script>location" not in answer.text
        assert f'src="{AWAY}' not in answer.text
        assert f"![x]({AWAY})" not in answer.text
        assert "<meta http-equiv=refresh" not in answer.text
        assert "allow-scripts" not in answer.headers["Content-Security-Policy"]


def test_a_file_is_opened_in_a_sandbox_without_scripts(server):
    write(server, "p.html", SCRIPT)
    policy = server.request("GET", "files/p.html").headers["Content-Security-Policy"]
    directives = [part.split()[0] for part in policy.split(";")]
    assert len(directives) == len(set(directives))  # a second one would count for nothing
    assert "sandbox allow-downloads" in policy
    assert "allow-scripts" not in policy


def test_scripts_of_the_workspace_run_on_no_page(server):
    write(server, "s.js", "alert(1)")
    headers = {"Authorization": f"token {server.token}", "Sec-Fetch-Site": "same-origin"}
    for purpose, status in (("script", 403), ("serviceworker", 403), ("document", 200)):
        answer = requests.get(
            f"{server.url}files/s.js", headers={**headers, "Sec-Fetch-Dest": purpose}, timeout=30
        )
        assert answer.status_code == status, purpose
        if status == 403:
            assert answer.json()["code"] == "CLO-FILES-010"


def test_where_the_policy_lets_scripts_out_files_and_notebooks_keep_them(tmp_path):
    home = make_home(tmp_path / "home")
    home.policy_path.write_text("version: 1\noutput: {scripts: allow}\n")
    with run_server(tmp_path, home) as server:
        write(server, "h.ipynb", notebook(*OUTPUTS))
        assert SCRIPT in json.dumps(shown(server, "h.ipynb")).replace('\\"', '"')
        write(server, "p.html", SCRIPT)
        policy = server.request("GET", "files/p.html").headers["Content-Security-Policy"]
        # An origin of its own: the header's last policy has one sandbox, without it.
        last = policy.rpartition(", ")[2]
        assert last.endswith("; sandbox allow-scripts")
        assert last.count("sandbox") == 1
