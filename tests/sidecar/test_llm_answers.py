"""Answers of language models: tokens come back as values, in documents, streams and tool calls."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

import pytest
import requests
from providers import MAIL, PROMPT, SSN, TOKEN, VALUES, Model, Rig, chat, echo, pieces, sent, sse

CUTS = (1, 3, 7, 1000)


def chunk(delta: dict, index: int = 0, finish: str | None = None) -> dict:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "m",
        "choices": [choice],
    }


def said(body: bytes) -> str:
    """What the provider saw last in the conversation."""
    document = json.loads(body)
    if "messages" not in document:
        return document["input"]
    return document["messages"][-1]["content"]


def events(text: str) -> list[dict]:
    found = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in found if line != "[DONE]"]


@pytest.mark.parametrize("cut", CUTS)
def test_a_streamed_chat_is_restored_however_it_is_cut(rig: Rig, model: Any, cut: int) -> None:
    def say(handler: Model, body: bytes) -> None:
        parts = pieces(said(body), cut)
        first = chunk({"role": "assistant", "content": ""})
        deltas = [chunk({"content": part}) for part in parts]
        last = {**chunk({}, finish="stop"), "usage": {"completion_tokens": 4}}
        handler.stream(sse(first, *deltas, last))

    model.say = say
    answer = rig.post(f"{model.url}/v1/chat/completions", chat(PROMPT, stream=True))
    got = events(answer.text)
    text = "".join(e["choices"][0]["delta"].get("content", "") for e in got)
    assert text == PROMPT
    assert [e["choices"][0]["finish_reason"] for e in got][-1] == "stop"
    assert [e for e in got if "usage" in e] == [got[-1]]
    assert sum(e["choices"][0]["delta"].get("role") == "assistant" for e in got) == 1
    assert answer.text.endswith("data: [DONE]\n\n")
    assert not [v for v in VALUES if v in sent(model)]
    assert rig.kinds("llm.answered")[0]["restored"] == {
        "CREDIT_CARD": 1,
        "EMAIL_ADDRESS": 1,
        "US_SSN": 1,
    }


@pytest.mark.parametrize("cut", CUTS)
def test_streamed_tool_calls_get_values_that_stay_json(rig: Rig, model: Any, cut: int) -> None:
    wild = 'Zoë "Nan" O\'Hara\\Quux'
    rig.index.add("PERSON", [wild])

    def say(handler: Model, body: bytes) -> None:
        token = next(t for t in TOKEN.findall(said(body)) if t.startswith("PERSON"))
        mail = next(t for t in TOKEN.findall(said(body)) if t.startswith("EMAIL"))
        arguments = json.dumps({"to": mail, "who": token, "body": json.dumps({"n": [token]})})
        other = json.dumps({"who": token})
        calls = [
            chunk({"role": "assistant", "content": None}),
            chunk({"tool_calls": [call(0, "call_a", "send")]}),
            *(chunk({"tool_calls": [argument(0, p)]}) for p in pieces(arguments, cut)),
            chunk({"tool_calls": [call(1, "call_b", "note")]}),
            *(chunk({"tool_calls": [argument(1, p)]}) for p in pieces(other, cut)),
            chunk({}, finish="tool_calls"),
        ]
        handler.stream(sse(*calls))

    def call(index: int, name: str, function: str) -> dict:
        made = {"name": function, "arguments": ""}
        return {"index": index, "id": name, "type": "function", "function": made}

    def argument(index: int, piece: str) -> dict:
        return {"index": index, "function": {"arguments": piece}}

    model.say = say
    answer = rig.post(model.url, chat(f"Ask {wild} or {MAIL}", stream=True))
    made: dict[int, dict[str, str]] = {}
    for event in events(answer.text):
        for part in event["choices"][0]["delta"].get("tool_calls", []):
            seen = made.setdefault(part["index"], {"id": "", "name": "", "arguments": ""})
            seen["id"] += part.get("id", "")
            for key, value in part["function"].items():
                seen[key] += value
    assert [(c["id"], c["name"]) for c in made.values()] == [("call_a", "send"), ("call_b", "note")]
    first, second = (json.loads(c["arguments"]) for c in made.values())
    assert (first["to"], first["who"], json.loads(first["body"])) == (MAIL, wild, {"n": [wild]})
    assert second == {"who": wild}


@pytest.mark.parametrize("cut", CUTS)
def test_choices_that_alternate_do_not_mix(rig: Rig, model: Any, cut: int) -> None:
    def say(handler: Model, body: bytes) -> None:
        token = TOKEN.search(said(body))[0]
        a, b = pieces(f"A {token}.", cut), pieces(f"B {token}!", cut)
        mixed = []
        for one, two in zip(a, b, strict=True):
            mixed += [chunk({"content": one}, 0), chunk({"content": two}, 1)]
        ends = [chunk({}, 0, "stop"), chunk({}, 1, "stop")]
        handler.stream(sse(*mixed, *ends))

    model.say = say
    answer = rig.post(model.url, chat(SSN, stream=True, n=2))
    texts = ["", ""]
    for event in events(answer.text):
        choice = event["choices"][0]
        texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == [f"A {SSN}.", f"B {SSN}!"]


@pytest.mark.parametrize("cut", CUTS)
def test_a_token_cut_off_by_the_end_of_the_text_is_not_lost(rig: Rig, model: Any, cut: int) -> None:
    def say(handler: Model, body: bytes) -> None:
        token = TOKEN.search(said(body))[0]
        text = f"{token} and {token[:-2]}"
        *first, last = (chunk({"content": p}) for p in pieces(text, cut))
        last["choices"][0]["finish_reason"] = "length"  # in the event that has the last piece
        handler.stream(sse(*first, last))

    model.say = say
    got = events(rig.post(model.url, chat(SSN, stream=True)).text)
    text = "".join(e["choices"][0]["delta"].get("content", "") for e in got)
    assert text == f"{SSN} and {SSN}"


def anthropic(text: str, arguments: str, cut: int) -> list[bytes]:
    made = [
        {"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": p}}
            for p in pieces(text, cut)
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "toolu_1", "name": "send", "input": {}},
        },
        *(
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": p},
            }
            for p in pieces(arguments, cut)
        ),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}},
        {"type": "message_stop"},
    ]
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in made]


@pytest.mark.parametrize("cut", CUTS)
def test_anthropic_streams_are_restored(rig: Rig, model: Any, cut: int) -> None:
    def say(handler: Model, body: bytes) -> None:
        text = said(body)
        tokens = TOKEN.findall(text)
        arguments = json.dumps({"to": tokens[0], "all": tokens})
        handler.stream(anthropic(f"{text} {tokens[0][:-3]}", arguments, cut))

    model.say = say
    answer = rig.post(f"{model.url}/v1/messages", {"messages": [{"content": PROMPT}]})
    texts = ["", ""]
    order: list[str] = []
    for event in events(answer.text):
        order.append(event["type"])
        if event["type"] == "content_block_delta":
            delta = event["delta"]
            texts[event["index"]] += delta.get("text", "") + delta.get("partial_json", "")
    assert texts[0] == f"{PROMPT} {MAIL}"
    assert json.loads(texts[1]) == {"to": MAIL, "all": [MAIL, SSN, VALUES[2]]}
    assert [o for o in order if o != "content_block_delta"] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_stop",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    stops = [i for i, o in enumerate(order) if o == "content_block_stop"]
    assert set(order[stops[0] + 2 : stops[1]]) == {"content_block_delta"}
    named = [line[7:] for line in answer.text.splitlines() if line.startswith("event: ")]
    assert named == order


@pytest.mark.parametrize("cut", CUTS)
def test_streams_of_responses_are_restored(rig: Rig, model: Any, cut: int) -> None:
    def say(handler: Model, body: bytes) -> None:
        text = said(body)
        token = TOKEN.search(text)[0]
        where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        call = {"item_id": "fc_1", "output_index": 1}
        arguments = json.dumps({"to": token})
        made = [
            {"type": "response.created", "response": {"id": "resp_1", "error": None}},
            *(
                {"type": "response.output_text.delta", **where, "delta": p}
                for p in pieces(text, cut)
            ),
            {"type": "response.output_text.done", **where, "text": text},
            *(
                {"type": "response.function_call_arguments.delta", **call, "delta": p}
                for p in pieces(arguments, cut)
            ),
            {"type": "response.function_call_arguments.done", **call, "arguments": arguments},
            {
                "type": "response.completed",
                "response": {"output": [{"content": [{"type": "output_text", "text": text}]}]},
            },
        ]
        chunks = [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in made]
        handler.stream(chunks)

    model.say = say
    answer = rig.post(f"{model.url}/v1/responses", {"input": PROMPT, "stream": True})
    got = events(answer.text)
    deltas = {"response.output_text.delta": "", "response.function_call_arguments.delta": ""}
    for event in got:
        if event["type"] in deltas:
            deltas[event["type"]] += event["delta"]
    assert list(deltas.values()) == [PROMPT, json.dumps({"to": MAIL})]
    assert next(e["text"] for e in got if e["type"].endswith("text.done")) == PROMPT
    assert got[-1]["response"]["output"][0]["content"][0]["text"] == PROMPT


@pytest.mark.parametrize("cut", CUTS)
def test_lines_of_a_local_server_are_restored(rig: Rig, model: Any, cut: int) -> None:
    def say(handler: Model, body: bytes) -> None:
        lines = [
            {"model": "m", "message": {"role": "assistant", "content": p}, "done": False}
            for p in pieces(said(body), cut)
        ]
        last = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True}
        made = [f"{json.dumps(line)}\n".encode() for line in [*lines, last]]
        handler.stream(made, "application/x-ndjson")

    model.say = say
    answer = rig.post(f"{model.url}/api/chat", chat(PROMPT))
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == PROMPT
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]


def test_tool_calls_of_a_whole_answer_are_restored(rig: Rig, model: Any) -> None:
    def say(handler: Model, body: bytes) -> None:
        mail, ssn = TOKEN.findall(said(body))[:2]
        openai = {"function": {"name": "f", "arguments": json.dumps({"to": mail, ssn: [ssn]})}}
        block = {"type": "tool_use", "input": {"to": mail, "rows": [{"ssn": ssn}]}}
        handler.answer({"choices": [{"message": {"tool_calls": [openai]}}], "content": [block]})

    model.say = say
    document = rig.post(model.url, chat(PROMPT)).json()
    arguments = document["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"to": MAIL, SSN: [SSN]}
    assert document["content"][0]["input"] == {"to": MAIL, "rows": [{"ssn": SSN}]}


def test_error_answers_are_restored_and_keep_their_status(rig: Rig, model: Any) -> None:
    def say(handler: Model, body: bytes) -> None:
        message = f"Invalid: {said(body)}"
        handler.answer({"error": {"message": message}}, status=400, Retry_After="7")

    model.say = say
    answer = rig.post(model.url, chat(PROMPT))
    assert (answer.status_code, answer.headers["Retry-After"]) == (400, "7")
    assert answer.json()["error"]["message"] == f"Invalid: {PROMPT}"
    assert rig.kinds("llm.answered")[0]["status"] == 400


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "", "text/event-stream"])
def test_an_answer_is_what_it_looks_like(rig: Rig, model: Any, kind: str) -> None:
    def say(handler: Model, body: bytes) -> None:
        handler.answer({"text": said(body)}, kind=kind)

    model.say = say
    answer = rig.post(model.url, chat(PROMPT))
    assert (json.loads(answer.text)["text"] == PROMPT) == (kind != "text/event-stream")
    model.say = lambda handler, body: handler.stream(
        sse(chunk({"content": said(body)[:30]}), chunk({"content": said(body)[30:]})), kind
    )
    text = "".join(
        e["choices"][0]["delta"]["content"]
        for e in events(rig.post(model.url, chat(PROMPT, stream=True)).text)
    )
    assert text == PROMPT


def test_plain_text_is_restored(rig: Rig, model: Any) -> None:
    model.say = lambda handler, body: handler.answer(said(body).encode(), kind="text/plain")
    assert rig.post(model.url, chat(PROMPT)).text == PROMPT


def test_bytes_that_are_no_text_pass(rig: Rig, model: Any) -> None:
    sound = bytes(range(256)) * 50
    model.say = lambda handler, _body: handler.answer(sound, kind="audio/mpeg")
    assert rig.post(model.url, chat(PROMPT)).content == sound
    model.say = lambda handler, _body: handler.answer(sound, kind="text/plain")
    assert rig.post(model.url, chat(PROMPT)).content == sound


def test_results_of_a_batch_are_restored_line_by_line(rig: Rig, model: Any) -> None:
    model.say = echo
    rig.post(model.url, chat(PROMPT))
    tokens = " ".join(TOKEN.findall(sent(model)))
    lines = b"".join(
        json.dumps({"custom_id": str(i), "body": {"text": tokens}}).encode() + b"\n"
        for i in range(3)
    )
    model.say = lambda handler, _body: handler.answer(lines, kind="application/jsonl")
    answer = rig.session.get(f"{model.url}/v1/files/file-1/content", timeout=20)
    assert [json.loads(line)["body"]["text"] for line in answer.text.splitlines()] == [
        f"{MAIL} {SSN} {VALUES[2]}"
    ] * 3


# What must not be restored ---------------------------------------------------------------------


def test_tokens_that_this_request_did_not_send_stay_tokens(rig: Rig, model: Any) -> None:
    model.say = echo
    rig.post(model.url, chat(PROMPT))
    tokens = TOKEN.findall(sent(model))
    foreign = "US_SSN~" + "a" * 10
    model.say = lambda handler, _body: handler.answer({"text": " ".join([*tokens, foreign])})
    answer = rig.post(model.url, chat(f"About {MAIL}"))
    assert answer.json()["text"] == " ".join([MAIL, *tokens[1:], foreign])


def test_what_a_provider_keeps_is_restored_where_it_goes_on(rig: Rig, model: Any) -> None:
    rig.post(f"{model.url}/v1/responses", {"input": PROMPT})
    tokens = TOKEN.findall(sent(model))
    model.say = lambda handler, _body: handler.answer({"text": " ".join(tokens)})
    more = {"input": "and?", "previous_response_id": "resp_67ccd2bed1ec8190b14f"}
    answer = rig.post(f"{model.url}/v1/responses", more)
    assert answer.json()["text"] == f"{MAIL} {SSN} {VALUES[2]}"
    assert rig.post(f"{model.url}/v1/responses", {"input": "and?"}).json()["text"] == " ".join(
        tokens
    )


def test_another_provider_cannot_have_tokens_restored(rig: Rig, model: Any) -> None:
    providers = [
        {"name": "a", "hosts": ["127.0.0.1"], "level": {"redacted": "restricted"}},
        {"name": "b", "hosts": ["localhost"], "level": {"redacted": "restricted"}},
    ]
    port = model.server_port
    rules = [{"host": host, "ports": [port]} for host in ("127.0.0.1", "localhost")]
    rig.allow(model, providers=providers, egress={"allow": rules})
    rig.post(model.url, {"input": PROMPT})
    tokens = " ".join(TOKEN.findall(sent(model)))
    model.say = lambda handler, _body: handler.answer({"text": tokens})
    more = {"input": "x", "previous_response_id": "resp_1"}
    url = model.url.replace("127.0.0.1", "localhost")
    assert rig.post(url, more).json()["text"] == tokens


# How it flows ----------------------------------------------------------------------------------


def test_a_slow_stream_is_not_held_back(rig: Rig, model: Any) -> None:
    go_on = threading.Event()

    def say(handler: Model, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for data in sse(chunk({"content": "The median is 4. "}), chunk({"content": said(body)})):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            handler.wfile.flush()
            go_on.wait(10)
        handler.wfile.write(b"0\r\n\r\n")

    model.say = say
    answer = rig.post(model.url, chat(SSN, stream=True), stream=True)
    lines = answer.iter_lines()
    assert json.loads(next(lines)[6:])["choices"][0]["delta"]["content"] == "The median is 4. "
    assert not go_on.is_set()
    go_on.set()
    rest = b"\n".join(lines).decode()
    assert SSN in rest


def test_a_long_stream_stays_whole(rig: Rig, model: Any) -> None:
    many = 4_000

    def say(handler: Model, body: bytes) -> None:
        token = TOKEN.search(said(body))[0]
        handler.stream([b"".join(sse(*[chunk({"content": f"{token} "})] * many))])

    model.say = say
    got = events(rig.post(model.url, chat(SSN, stream=True)).text)
    assert "".join(e["choices"][0]["delta"]["content"] for e in got) == f"{SSN} " * many


def test_events_without_tokens_pass_byte_for_byte(rig: Rig, model: Any) -> None:
    raw = [
        b": keep-alive\r\n\r\n",
        b'event: x\r\nid: 7\r\ndata: {"a":  1,\r\ndata:  "b": "\xc3\xa9"}\r\n\r\n',
        b"data: not json\n\n",
        b"retry: 10\n\ndata: [DONE]\n\n",
    ]
    model.say = lambda handler, _body: handler.stream([bytes([b]) for b in b"".join(raw)])
    assert rig.post(model.url, chat(SSN, stream=True)).content == b"".join(raw)


def test_a_stream_that_breaks_off_is_broken_off(rig: Rig, model: Any) -> None:
    def say(handler: Model, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        data = sse(chunk({"content": said(body)}), done=False)[0]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    model.say = say
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        rig.post(model.url, chat(SSN, stream=True))
    for _ in range(100):
        if rig.kinds("llm.answered"):
            break
        time.sleep(0.05)
    assert rig.kinds("llm.answered")[0]["is_whole"] is False


def test_an_answer_that_is_compressed_against_our_wish_is_refused(rig: Rig, model: Any) -> None:
    import gzip

    def say(handler: Model, _body: bytes) -> None:
        assert handler.headers["Accept-Encoding"] == "identity"
        handler.answer(gzip.compress(b"{}"), Content_Encoding="gzip")

    model.say = say
    answer = rig.post(model.url, chat("x"))
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (502, "CLO-EGRESS-003")


def test_an_answer_that_cannot_be_recorded_does_not_come_in(rig: Rig, model: Any) -> None:
    model.say = echo
    kept = rig.service.record

    def record(kind: str, body: dict) -> None:
        if kind == "llm.answered":
            raise OSError("disk full")
        kept(kind, body)

    rig.service.record = record
    with pytest.raises(requests.exceptions.RequestException):
        rig.post(model.url, chat(PROMPT)).json()


def test_restricted_values_in_an_answer_raise_the_mark(rig: Rig, model: Any) -> None:
    model.say = lambda handler, _body: handler.answer({"text": f"SSN {SSN}"})
    rig.post(model.url, chat("who?"))
    rig.post(model.url, chat("and?"))  # what came in counts for what goes out next
    assert [found for _, found in rig.inbound] == [{"US_SSN": 1}] * len(rig.inbound) != []
