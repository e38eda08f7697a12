"""Language models and vendors, called from real guarded kernels, on loopback.

The first four are acceptance scripts: a support agent, a batch between two providers, an enrichment
with consent, and prompts that carry tables in every form.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
import yaml
from cloister.store.catalog import Catalog
from cloister.store.home import Home, ensure_home
from cloister.store.lineage_reader import LineageReader
from nbclient import NotebookClient

sys.path.insert(0, str(Path(__file__).parents[1]))

from providers import TOKEN, Model, echo, pieces, sent, serving, sse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PEOPLE = [
    ("Ada Quisling-Orr", "ada.q@example.org", "536-90-4399", "Oslo"),
    ("Bo Featherstonehaugh", "bo.f@example.org", "219-09-9871", "Bergen"),
    ("Cleo Zsigmondy-Ray", "cleo.z@example.org", "457-55-5462", "Turku"),
]
VALUES = [value for person in PEOPLE for value in person[:3]]


ASK = """
import requests
def post(text):
    body = {'model': 'm', 'messages': [{'role': 'user', 'content': text}]}
    return requests.post(URL + '/v1/chat/completions', json=body, timeout=30)
def ask(text):
    answer = post(text)
    answer.raise_for_status()
    return answer.json()['choices'][0]['message']['content']
"""
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


@pytest.fixture
def cloud() -> Iterator[Any]:
    with serving() as server:
        server.say = echo
        yield server


@pytest.fixture
def house() -> Iterator[Any]:
    with serving() as server:
        server.say = echo
        yield server


@pytest.fixture
def customers(home: Path, tmp_path: Path) -> Path:
    """Catalogued data outside the workspace."""
    ensure_home(Home(home))
    path = tmp_path / "warehouse" / "emails.csv"
    path.parent.mkdir()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "email", "ssn", "city", "message"])
        writer.writerows([*p, f"I am {p[0]}, {p[2]}, and wait."] for p in PEOPLE)
    Catalog(Home(home)).add("emails", path)
    return path


def allow(home: Path, *providers: dict, **more: object) -> None:
    """Writes a policy with these providers, each at its server."""
    listed, rules = [], []
    for provider in providers:
        server = provider["server"]
        where = {"hosts": ["127.0.0.1"], "ports": [server.server_port]}
        listed.append(where | {k: v for k, v in provider.items() if k != "server"})
        rules.append({"host": "127.0.0.1", "ports": [server.server_port]})
    document = {"version": 1, "egress": {"allow": rules}, "providers": listed, **more}
    (home / "policy.yaml").write_text(yaml.safe_dump(document))


def redacted(server: Any, name: str = "cloud") -> dict:
    return {
        "server": server,
        "name": name,
        "style": "openai",
        "level": {"redacted": "restricted"},
        "region": "eu",
    }


def records(home: Path, kind: str) -> list[dict]:
    with LineageReader(Home(home)) as reader:
        return [entry.body for entry in reader.entries(limit=5000) if entry.type == kind]


def captured(*servers: Any) -> str:
    return "".join(repr(request) for server in servers for request in server.seen)


def test_a_support_agent(
    home: Path, workspace: Path, customers: Path, cloud: Any, start_kernel: Callable
) -> None:
    allow(home, redacted(cloud))
    answered = "DRAFTED " + " ".join("ok" for _ in PEOPLE)
    cells = [
        f"import pandas as pd\nemails = pd.read_csv({str(customers)!r})",
        f"URL = {cloud.url!r}\n{ASK}",
        "whole = [f'Answer {row.email}: {row.message}' for row in emails.itertuples()]\n"
        "replies = [ask(prompt) for prompt in whole]\n"
        "print('DRAFTED', *('ok' if a == b else 'no' for a, b in zip(replies, whole)))\n"
        "replies[0]",
        "raise ValueError(f'no reply for {emails.email[1]}: {replies[1]}')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    notebook.metadata["kernelspec"] = {"name": "cloister", "display_name": "", "language": "python"}
    client = NotebookClient(
        notebook, allow_errors=True, resources={"metadata": {"path": str(workspace)}}
    )
    client.execute()
    saved = workspace / "support.ipynb"
    nbformat.write(notebook, saved)
    outputs = repr([cell.outputs for cell in notebook.cells])
    assert answered in outputs
    assert "ValueError" in outputs
    assert len(cloud.seen) == len(PEOPLE)
    stored = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    for value in VALUES:
        assert value not in captured(cloud), "the provider saw a value"
        assert value not in outputs
        assert value not in saved.read_text()
        assert value.encode() not in stored
    assert all(TOKEN.search(sent(cloud, i)) for i in range(len(PEOPLE)))
    assert [r["status"] for r in records(home, "llm.answered")] == [200] * len(PEOPLE)


def test_without_its_guard_a_call_fails(
    home: Path, customers: Path, cloud: Any, start_kernel: Callable
) -> None:
    allow(home, redacted(cloud))
    kernel = start_kernel()
    kernel.run(f"URL = {cloud.url!r}\n{ASK}")
    assert kernel.run("ask('x')").text == "'x'"
    kernel.run(
        "import threading, time\n"
        "def later():\n    time.sleep(2)\n    ask('x')\n"
        "threading.Thread(target=later, daemon=True).start()"
    )
    os.kill(kernel.sidecar_pid, signal.SIGKILL)
    time.sleep(3)
    assert len(cloud.seen) == 1


def test_a_batch_between_two_providers(
    home: Path, customers: Path, cloud: Any, house: Any, start_kernel: Callable
) -> None:
    local = {"server": house, "name": "house", "style": "openai", "local": True, "url": house.url}
    allow(home, {**redacted(cloud), "level": {"redacted": "internal"}}, local)
    kernel = start_kernel()
    kernel.run(f"URL = {cloud.url!r}\n{ASK}")
    kernel.run("questions = [f'What is {n} times {n}?' for n in range(20)]")
    public = kernel.run("[post(q).status_code for q in questions].count(200)")
    assert (public.text, len(cloud.seen), len(house.seen)) == ("20", 20, 0)
    kernel.run(f"import pandas as pd; emails = pd.read_csv({str(customers)!r})")
    restricted = kernel.run(
        "[post(q).headers['X-Cloister-Provider'] for q in questions].count('house')"
    )
    assert (restricted.text, len(cloud.seen), len(house.seen)) == ("20", 20, 20)
    house.say = lambda handler, _body: handler.answer({"error": "busy"}, status=503)
    busy = kernel.run("[post(q).status_code for q in questions].count(503)")
    assert (busy.text, len(cloud.seen), len(house.seen)) == ("20", 20, 40)
    took = {name: [] for name in ("cloud", "house")}
    for answer in records(home, "llm.answered"):
        took[answer["provider"]].append(answer["took_ms"])
    for times in took.values():  # p50, p95, p99 of each route are in the record
        assert len(statistics.quantiles(times, n=100)) == 99


def test_enrichment_with_consent(home: Path, tmp_path: Path, start_kernel: Callable) -> None:
    ensure_home(Home(home))
    path = tmp_path / "warehouse" / "members.csv"
    path.parent.mkdir()
    rows = [
        {
            "member": f"M{i:04d}",
            "name": f"Anna Lind{i}",
            "email": f"m{i}@example.org",
            "city": "Oslo",
            "agreed": "no" if i % 7 == 3 and i // 7 < 137 else "yes",
        }
        for i in range(1000)
    ]

    def write(members: list[dict]) -> None:
        with path.with_suffix(".new").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(members)
        path.with_suffix(".new").replace(path)

    write(rows)
    Catalog(Home(home)).add("members", path, purpose="geo", consent="agreed")
    terms = {"dataset": "members", "key": "member", "purpose": "geo"}
    with serving() as vendor:
        vendor.say = lambda handler, body: handler.answer({"got": len(json.loads(body))})
        provider = {
            "server": vendor,
            "name": "geo",
            "redact": False,
            "level": {"plain": "restricted"},
            "enrichment": {**terms, "fields": ["member", "email", "city"]},
        }
        allow(home, provider)
        kernel = start_kernel()
        kernel.run(
            f"import pandas as pd, requests\nURL = {vendor.url!r}\n"
            f"members = pd.read_csv({str(path)!r}).to_dict('records')\n"
            "def enrich(rows): return requests.post(URL, json=rows, timeout=30).json()['got']"
        )
        assert kernel.run("enrich(members)").text == "863"
        got = json.loads(vendor.seen[0][2])
        agreed = [r for r in rows if r["agreed"] == "yes"]
        assert got == [{k: r[k] for k in ("member", "email", "city")} for r in agreed]
        write([r | {"agreed": "no"} for r in rows])
        late = kernel.run("enrich(members[:500])")
        assert late.reply["ename"] == "EgressDenied"
        assert "CLO-LLM-006" in late.reply["evalue"]
        assert len(vendor.seen) == 1
    decided = records(home, "enrichment.decided")
    assert [d["sent"] for d in decided] == [863, 0]
    assert decided[0]["withheld"] == {"consent": 137}
    assert all(d["execution_id"] for d in decided)


def test_prompts_that_carry_tables(
    home: Path, customers: Path, cloud: Any, start_kernel: Callable
) -> None:
    allow(home, redacted(cloud))
    kernel = start_kernel()
    kernel.run(
        f"import base64, json, pandas as pd\nemails = pd.read_csv({str(customers)!r})\n"
        f"URL = {cloud.url!r}\n{ASK}"
    )
    for prompt in (
        "repr(emails)",
        "f'Look at {emails} and {emails.email[0]}'",
        "emails.to_csv(index=False)",
        "emails.to_json(orient='records')",
        "emails.to_html()",
        "base64.b64encode(emails.to_csv(index=False).encode()).decode()",
        "json.dumps({'rows': json.dumps(emails.to_dict('list'))})",
    ):
        # A frame shows itself masked, with the tokens that its values get: these become values,
        # too, where the same values stand beside it.
        answer = kernel.run(
            f"prompt = {prompt}\nanswer = ask(prompt)\n"
            "answer == prompt or (emails.email[0] in answer and 'Look at' in answer)"
        )
        assert (prompt, answer.text) == (prompt, "True"), answer.reply
        assert not [v for v in VALUES if v in captured(cloud)], prompt


def test_the_official_clients(
    home: Path, customers: Path, cloud: Any, start_kernel: Callable
) -> None:
    pytest.importorskip("openai")
    pytest.importorskip("anthropic")
    allow(home, redacted(cloud))
    kernel = start_kernel()
    kernel.run(
        "import json, openai, anthropic, pandas as pd\n"
        f"emails = pd.read_csv({str(customers)!r})\n"
        "row = emails.iloc[0]; prompt = f'Write to {row.email}, who is {row.ssn}.'\n"
        f"gpt = openai.OpenAI(api_key='sk-test', base_url='{cloud.url}/v1')\n"
        f"claude = anthropic.Anthropic(api_key='sk-ant-test', base_url='{cloud.url}')\n"
        "messages = [{'role': 'user', 'content': prompt}]"
    )

    def same(code: str, expression: str) -> None:
        done = kernel.run(f"{code}\n{expression}")
        assert done.text == "True", done.reply.get("evalue") or done.text
        assert not [v for v in VALUES if v in captured(cloud)]

    chat_call = "answer = gpt.chat.completions.create(model='m', messages=messages"
    same(f"{chat_call})", "answer.choices[0].message.content == prompt")

    cloud.say = lambda handler, body: handler.stream(
        sse(*(chunk({"content": p}) for p in pieces(prompt_of(body))), chunk({}, "stop"))
    )
    same(
        f"{chat_call}, stream=True)",
        "''.join(c.choices[0].delta.content or '' for c in answer) == prompt",
    )

    def call_tool(handler: Model, body: bytes) -> None:
        mail, ssn = TOKEN.findall(prompt_of(body))
        made = {"index": 0, "id": "call_1", "type": "function"}
        first = made | {"function": {"name": "send", "arguments": ""}}
        arguments = json.dumps({"to": mail, "note": json.dumps({"ssn": ssn})})
        parts = [{"index": 0, "function": {"arguments": p}} for p in pieces(arguments)]
        calls = [chunk({"tool_calls": [part]}) for part in (first, *parts)]
        handler.stream(sse(*calls, chunk({}, "tool_calls")))

    cloud.say = call_tool
    same(
        "with gpt.chat.completions.stream(model='m', messages=messages) as stream:\n"
        "    for _ in stream: pass\n"
        "call = stream.get_final_completion().choices[0].message.tool_calls[0].function\n"
        "made = json.loads(call.arguments)",
        "call.name == 'send' and made['to'] == row.email"
        " and json.loads(made['note']) == {'ssn': row.ssn}",
    )

    cloud.say = lambda handler, body: handler.stream(message_events(prompt_of(body)))
    same(
        "with claude.messages.stream(model='m', max_tokens=9, messages=messages) as stream:\n"
        "    text = ''.join(stream.text_stream)\n"
        "blocks = stream.get_final_message().content",
        "text == prompt and blocks[1].name == 'send' and blocks[1].input == {'text': prompt}",
    )

    same(
        "import asyncio\n"
        f"slow = openai.AsyncOpenAI(api_key='sk-test', base_url='{cloud.url}/v1')\n"
        f"picture = [{{'role': 'user', 'content': [{PICTURE!r}]}}]\n"
        "codes = []\n"
        "try:\n"
        "    await slow.chat.completions.create(model='m', messages=picture)\n"
        "except Exception as error:\n"
        "    codes.append(error.code)",
        "codes == ['CLO-LLM-003']",
    )


def prompt_of(body: bytes) -> str:
    return json.loads(body)["messages"][-1]["content"]


def chunk(delta: dict, finish: str | None = None) -> dict:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    made = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**made, "choices": [choice]}


def message_events(text: str) -> list[bytes]:
    """What Anthropic's server sends for a text and a call of a tool."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    usage = {"input_tokens": 1, "output_tokens": 1}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "send", "input": {}}

    def delta(index: int, kind: str, key: str, piece: str) -> dict:
        return {"type": "content_block_delta", "index": index, "delta": {"type": kind, key: piece}}

    made: list[dict] = [
        {"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(delta(0, "text_delta", "text", p) for p in pieces(text)),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": tool},
        *(
            delta(1, "input_json_delta", "partial_json", p)
            for p in pieces(json.dumps({"text": text}))
        ),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage},
        {"type": "message_stop"},
    ]
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in made]
