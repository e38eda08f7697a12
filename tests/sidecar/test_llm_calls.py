"""Requests to language models through the proxy: values leave as tokens and come back as values.

Real sockets, the proxy in its own process, and a server on loopback.
"""

from __future__ import annotations

import base64
import io
import json
import re
import time
from typing import Any

import pytest
from cloister.core.labels import Level
from providers import MAIL, PROMPT, SSN, TOKEN, VALUES, Rig, chat, echo, sent

# Redaction ------------------------------------------------------------------------------------


def test_values_leave_as_tokens_and_come_back_as_values(rig: Rig, model: Any) -> None:
    model.say = echo
    answer = rig.post(f"{model.url}/v1/chat/completions", chat(PROMPT))
    assert answer.status_code == 200
    assert not [v for v in VALUES if v in sent(model)]
    assert sorted(t.split("~")[0] for t in TOKEN.findall(sent(model))) == [
        "CREDIT_CARD",
        "EMAIL_ADDRESS",
        "US_SSN",
    ]
    document = answer.json()
    assert document["choices"][0]["message"]["content"] == PROMPT
    assert document["usage"] == {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}
    assert (
        int(answer.headers["Content-Length"]) == len(answer.content)
        if ("Content-Length" in answer.headers)
        else answer.headers["Transfer-Encoding"] == "chunked"
    )


def test_the_record_counts_and_holds_no_value_and_no_token(rig: Rig, model: Any) -> None:
    model.say = echo
    rig.post(f"{model.url}/v1/chat/completions", chat(PROMPT))
    kinds = {"CREDIT_CARD": 1, "EMAIL_ADDRESS": 1, "US_SSN": 1}
    (sent_kind, out), (answered_kind, back) = rig.records
    assert (sent_kind, answered_kind) == ("llm.sent", "llm.answered")
    assert (out["provider"], out["rule"], out["found"]) == ("cloud", "egress.allow[0]", kinds)
    assert (out["level"], out["redacted"], out["would"]) == ("restricted", True, None)
    assert (back["status"], back["restored"]) == (200, kinds)
    kept = repr(rig.records) + repr(rig.events)
    assert not [v for v in (*VALUES, *TOKEN.findall(sent(model))) if v in kept]


OPENAI_TOOL_CALL = {
    "role": "assistant",
    "tool_calls": [
        {
            "id": "call_abc123XYZ4567890abcdefgh",
            "type": "function",
            "function": {"name": "send", "arguments": json.dumps({"to": MAIL, "ssn": SSN})},
        }
    ],
}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", chat(PROMPT)),
        ("/v1/chat/completions", chat([{"type": "text", "text": PROMPT}])),
        ("/v1/chat/completions", {"messages": [{"role": "system", "content": PROMPT}]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "name": MAIL, "content": "x"}]}),
        ("/v1/chat/completions", {"messages": [OPENAI_TOOL_CALL]}),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "tool", "tool_call_id": "call_1", "content": PROMPT}]},
        ),
        (
            "/v1/chat/completions",
            {"messages": [{"function_call": {"name": "f", "arguments": f'{{"a": "{SSN}"}}'}}]},
        ),
        ("/v1/chat/completions", chat("x", tools=[{"function": {"description": PROMPT}}])),
        ("/v1/chat/completions", chat("x", metadata={"who": MAIL, MAIL: "key"}, user=MAIL)),
        ("/v1/chat/completions", chat("x", stop=[MAIL])),
        ("/v1/chat/completions", chat(json.dumps({"rows": [json.dumps({"mail": MAIL})]}))),
        ("/v1/chat/completions", chat('as JSON: {"mail": "anna.l\\u0069ndqvist@example.org"}')),
        ("/v1/chat/completions", chat(base64.b64encode(PROMPT.encode()).decode())),
        ("/v1/chat/completions", chat("x " * 40 + PROMPT.encode().hex())),
        ("/v1/completions", {"prompt": PROMPT}),
        ("/v1/completions", {"prompt": ["a", PROMPT], "suffix": MAIL}),
        ("/v1/embeddings", {"input": [PROMPT, "plain"], "model": "text-embedding-3-small"}),
        ("/v1/embeddings", {"input": PROMPT}),
        ("/v1/responses", {"input": PROMPT, "instructions": PROMPT}),
        (
            "/v1/responses",
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": PROMPT}]}]},
        ),
        ("/v1/responses", {"input": [{"type": "function_call_output", "output": PROMPT}]}),
        ("/v1/messages", {"system": PROMPT, "messages": []}),
        ("/v1/messages", {"system": [{"type": "text", "text": PROMPT}], "messages": []}),
        (
            "/v1/messages",
            {"messages": [{"content": [{"type": "tool_use", "input": {"ssn": SSN, "n": [MAIL]}}]}]},
        ),
        (
            "/v1/messages",
            {
                "messages": [
                    {
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "toolu_01A09q90qw90lq917835lq9",
                                "content": [{"type": "text", "text": PROMPT}],
                            }
                        ]
                    }
                ]
            },
        ),
        (
            "/v1/messages",
            {
                "messages": [
                    {
                        "content": [
                            {
                                "type": "document",
                                "title": MAIL,
                                "source": {"type": "text", "data": PROMPT},
                            }
                        ]
                    }
                ]
            },
        ),
        (
            "/v1/messages",
            {"messages": [{"content": [{"type": "tool_use", "input": {"ssn": 536904399}}]}]},
        ),
    ],
)
def test_no_place_in_a_request_carries_a_value(rig: Rig, model: Any, path: str, body: dict) -> None:
    answer = rig.post(model.url + path, body)
    assert answer.status_code == 200, answer.text
    out = sent(model)
    plain = out + out.encode().decode("unicode_escape")
    forms = [*VALUES, "536904399", base64.b64encode(PROMPT.encode()).decode()[8:30]]
    forms += [PROMPT.encode().hex()[10:60]]
    assert not [form for form in forms if form in plain]
    assert "~" in out
    assert json.loads(out).keys() == body.keys()


def test_a_frame_in_a_prompt_is_redacted(rig: Rig, model: Any) -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {"mail": [MAIL, "b@example.org"], "ssn": [SSN, "219-09-9999"], "n": [1, 2]}
    )
    model.say = echo
    for text in (f"Look:\n{frame}", frame.to_html(), frame.to_json(), frame.to_csv(), f"{frame.T}"):
        assert rig.post(f"{model.url}/v1/chat/completions", chat(text)).status_code == 200
        assert not [v for v in (*VALUES, "219-09-9999", "b@example.org") if v in sent(model)]
        assert rig.session.post  # the frame itself keeps its values
    assert frame["ssn"][0] == SSN


def test_known_values_that_no_pattern_knows_are_redacted(rig: Rig, model: Any) -> None:
    rig.index.add("PERSON", ["Zbigniew Quux-Halloran"])
    model.say = echo
    for content in ("ask Zbigniew Quux-Halloran", {"first": "Zbigniew", "last": "Quux-Halloran"}):
        text = content if isinstance(content, str) else json.dumps(content)
        answer = rig.post(f"{model.url}/v1/chat/completions", chat(text))
        assert "Quux" not in sent(model)
        returned = answer.json()["choices"][0]["message"]["content"]
        assert (json.loads(returned) if text[0] == "{" else returned) == content


def test_ordinary_requests_leave_byte_for_byte(rig: Rig, model: Any) -> None:
    ordinary = [
        chat("What is a median?", temperature=0.7, seed=536, max_tokens=4096, stream=False),
        chat(
            "x",
            tools=[
                {
                    "type": "function",
                    "function": {
                        "name": "get_weather",
                        "description": "Weather of a city",
                        "parameters": {
                            "type": "object",
                            "properties": {"city": {"type": "string"}},
                        },
                    },
                }
            ],
        ),
        {
            "model": "claude-sonnet-4-20250514",
            "max_tokens": 1024,
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "def f(x):\n    return x ** 2"}],
                }
            ],
        },
        {"model": "text-embedding-3-small", "input": ["the cat", "a mat"], "dimensions": 256},
        {"input": ["4111", "1234", "4539", "5787", "6362", "1486"]},  # a batch, not one number
        {
            "messages": [
                OPENAI_TOOL_CALL
                | {
                    "tool_calls": [
                        {
                            "id": "call_abc123XYZ4567890abcdefgh",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"city":"Paris"}'},
                        }
                    ]
                }
            ]
        },
        {
            "model": "gpt-4.1",
            "previous_response_id": "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
            "input": "and then?",
        },
    ]
    for document in ordinary:
        body = json.dumps(document, indent=1).encode()
        answer = rig.post(model.url, data=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, answer.text
        assert model.seen[-1][2] == body


def test_what_the_provider_made_goes_back_to_it_unread(rig: Rig, model: Any) -> None:
    # A signature may look like anything, even like a value.
    blob = base64.b64encode(f"sealed {PROMPT}".encode()).decode()
    thinking = {"type": "thinking", "thinking": "I think", "signature": blob}
    model.say = lambda handler, _body: handler.answer({"content": [thinking]})
    rig.post(f"{model.url}/v1/messages", {"messages": []})
    again = {"messages": [{"role": "assistant", "content": [thinking]}]}
    assert rig.post(f"{model.url}/v1/messages", again).status_code == 200
    assert blob in sent(model)
    # One that it did not make is a text like any other.
    other = base64.b64encode(f"mine {PROMPT}".encode()).decode()
    rig.post(f"{model.url}/v1/messages", {"messages": [{"signature": other}]})
    assert other not in sent(model)


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages": [{"content": "536-90-4399", "content": "x"}]}',
        b'{"messages": [{"content": NaN}]}',
        b'{"messages": [{"content": "x"}]',
        b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"a": "\xff"}',
        b'{"a": 1} {"b": 2}',
        b"{" + b'"a":' + b"1" * 5000 + b"}",
    ],
)
def test_a_body_that_reads_in_two_ways_is_refused(rig: Rig, model: Any, body: bytes) -> None:
    answer = rig.post(model.url, data=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (451, "CLO-LLM-003")
    assert model.seen == []


def png(**notes: str) -> bytes:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, value in notes.items():
        info.add_text(name, value)
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "PNG", pnginfo=info)
    return out.getvalue()


def picture_requests(encoded: str) -> list[dict]:
    url = f"data:image/png;base64,{encoded}"
    source = {"type": "base64", "media_type": "image/png", "data": encoded}
    return [
        chat([{"type": "image_url", "image_url": {"url": url}}]),
        {"input": [{"content": [{"type": "input_image", "image_url": url}]}]},
        {"messages": [{"content": [{"type": "image", "source": source}]}]},
    ]


def test_pictures_leave_without_notes_and_only_where_data_may_go_as_it_is(
    rig: Rig, model: Any
) -> None:
    for document in picture_requests(base64.b64encode(png(author=MAIL)).decode()):
        assert rig.post(model.url, document).status_code == 200
        encoded = re.search(r"iVBOR[A-Za-z0-9+/=]+", sent(model))[0]
        assert MAIL.encode() not in base64.b64decode(encoded)
        rig.level = Level.CONFIDENTIAL
        answer = rig.post(model.url, document)
        assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (451, "CLO-LLM-003")
        rig.level = Level.PUBLIC
    assert len(model.seen) == 3


def test_documents_are_scanned_and_sound_is_for_those_who_have_read_nothing(
    rig: Rig, model: Any
) -> None:
    text = base64.b64encode(f"a long letter, {PROMPT}".encode() * 3).decode()
    document = {
        "messages": [
            {
                "content": [
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "text/plain", "data": text},
                    }
                ]
            }
        ]
    }
    answer = rig.post(model.url, document)
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (451, "CLO-LLM-004")
    sound = base64.b64encode(b"RIFF\x00\x01\x00\x00WAVEfmt " + bytes(range(256)) * 4).decode()
    audio = chat([{"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}}])
    assert rig.post(model.url, audio).status_code == 200
    rig.level = Level.RESTRICTED
    assert rig.post(model.url, audio).headers["X-Cloister-Code"] == "CLO-LLM-003"
    assert rig.post(f"{model.url}/v1/embeddings", {"input": [list(range(50))]}).status_code == 451
    assert len(model.seen) == 1


def test_files_with_values_are_refused(rig: Rig, model: Any) -> None:
    files = {"file": ("batch.jsonl", json.dumps(chat(PROMPT)))}
    answer = rig.post(f"{model.url}/v1/files", files=files, data={"purpose": "batch"})
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (451, "CLO-EGRESS-009")
    files = {"file": ("batch.jsonl", json.dumps(chat("What is a median?")))}
    assert rig.post(f"{model.url}/v1/files", files=files).status_code == 200
    assert len(model.seen) == 1


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "x/y"}])
def test_json_is_json_whatever_it_is_said_to_be(rig: Rig, model: Any, headers: dict) -> None:
    rig.post(model.url, data=json.dumps(chat(PROMPT)).encode(), headers=headers)
    assert len(model.seen) == 1
    assert MAIL not in sent(model)


@pytest.mark.parametrize("charset", ["utf-16", "utf-7", '"cp037"', "latin-1"])
def test_another_charset_is_another_reading(rig: Rig, model: Any, charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    answer = rig.post(model.url, data=b'{"input": "x"}', headers=headers)
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (451, "CLO-LLM-003")
    for plain in ("utf-8", "UTF8", '"utf-8"', "us-ascii"):
        headers = {"Content-Type": f"application/json; charset={plain}"}
        assert rig.post(model.url, data=b'{"input": "x"}', headers=headers).status_code == 200


def test_compressed_requests_are_redacted(rig: Rig, model: Any) -> None:
    import gzip

    body = gzip.compress(json.dumps(chat(PROMPT)).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert rig.post(model.url, data=body, headers=headers).status_code == 200
    assert "Content-Encoding" not in model.seen[0][1]
    assert MAIL not in sent(model)
    assert json.loads(sent(model))["model"] == "gpt-4o-mini"


@pytest.mark.parametrize(
    "messages",
    [
        [{"content": "it begins with 536-90"}, {"content": "-4399 and ends"}],
        [{"role": "system", "content": "536"}, {"content": "-90-"}, {"content": "4399"}],
        [{"content": [{"type": "text", "text": "536-90"}, {"type": "text", "text": "-4399"}]}],
        [{"content": "word " * 100 + "536-90"}, {"content": "-4399 " + "word " * 100}],
        [{"role": "user", "name": "536-90", "content": "-4399"}],
        [{"content": letter} for letter in SSN],
    ],
)
def test_a_value_cut_over_several_texts_is_redacted(rig: Rig, model: Any, messages: list) -> None:
    model.say = lambda handler, body: handler.answer(json.loads(body))
    answer = rig.post(model.url, {"messages": messages})
    assert answer.json() == {"messages": messages}
    assert "4399" not in sent(model)
    assert "536" not in re.sub(r"~[a-z2-7]{10}", "", sent(model))


def test_a_key_and_a_value_come_back_as_they_were(rig: Rig, model: Any) -> None:
    rows = {"input": {MAIL: {SSN: "x"}, "n": [1, 2.5, None, True]}}
    model.say = lambda handler, body: handler.answer(json.loads(body))
    assert rig.post(model.url, rows).json() == rows
    assert not [v for v in VALUES if v in sent(model)]


def test_a_check_that_takes_too_long_is_ended_and_nothing_leaves(rig: Rig, model: Any) -> None:
    said = [{"role": "user", "content": f"{PROMPT} {number}"} for number in range(1_000)]
    many = {**chat(""), "messages": said}
    rig.allow(model, egress={"time_limit_s": 0.05})
    begin = time.monotonic()
    answer = rig.post(model.url, many)
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (413, "CLO-EGRESS-016")
    assert answer.headers["X-Cloister-Rule"] == "egress.time_limit_s"
    assert model.seen == []
    assert rig.kinds("llm.sent") == []
    taken = time.monotonic() - begin
    rig.allow(model)
    begin = time.monotonic()
    assert rig.post(model.url, many).status_code == 200
    assert time.monotonic() - begin > taken, "it would have taken longer"
    assert len(model.seen) == 1


def test_what_a_redaction_leaves_behind_is_refused(
    rig: Rig, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig.service.tokenizer, "token", lambda _kind, value: value)
    answer = rig.post(model.url, chat(PROMPT))
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (451, "CLO-LLM-002")
    assert not [v for v in VALUES if v in answer.text]
    assert model.seen == []


def test_keys_that_would_become_one_token_are_refused(rig: Rig, model: Any) -> None:
    answer = rig.post(model.url, {"input": {MAIL: 1, MAIL.upper(): 2}})
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (451, "CLO-LLM-002")
    assert model.seen == []


@pytest.mark.parametrize("where", ["path", "query", "header"])
def test_values_in_the_head_are_refused(rig: Rig, model: Any, where: str) -> None:
    url = {"path": f"{model.url}/v1/files/{SSN}", "query": f"{model.url}/v1?q={MAIL}"}
    headers = {"X-Trace": MAIL} if where == "header" else {}
    answer = rig.post(url.get(where, model.url), chat("x"), headers=headers)
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (451, "CLO-EGRESS-009")
    assert model.seen == []


def test_what_a_rule_allows_does_not_open_a_provider(rig: Rig, model: Any) -> None:
    rule = {"host": "127.0.0.1", "ports": [model.server_port], "found": "allow"}
    rig.allow(model, egress={"allow": [rule]})
    assert rig.post(model.url, chat(PROMPT)).status_code == 200
    assert not [v for v in VALUES if v in sent(model)]
    assert rig.session.post(model.url, data=f"a={MAIL}", timeout=20).status_code == 451
    broken = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert rig.session.post(model.url, data=b"x" * 9, headers=broken, timeout=20).status_code == 451
    assert len(model.seen) == 1


def test_trailers_of_a_provider_stay_outside(rig: Rig, model: Any) -> None:
    def say(handler: Any, body: bytes) -> None:
        token = TOKEN.search(body.decode())[0]
        handler.send_response(200)
        handler.send_header("Content-Type", "text/plain")
        handler.send_header("Trailer", "X-Note")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"2\r\nok\r\n0\r\nX-Note: " + token.encode() + b"\r\n\r\n")

    model.say = say
    assert rig.post(model.url, chat(SSN)).text == "ok"
