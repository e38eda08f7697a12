# ruff: noqa: RUF001 - odd characters are the point
"""``cloister classify --text``: streams, says what it cannot see, never prints a text."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass

import pytest
from cloister.cli import main

SSN = "219-09-9871"


@dataclass(frozen=True)
class Result:
    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def run(tmp_path, monkeypatch, capfdbinary):
    monkeypatch.setenv("CLOISTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLOISTER_TEXT_MODEL", "none")

    def invoke(*arguments, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main.run([*map(str, arguments)])
        out, err = capfdbinary.readouterr()
        return Result(code, out.decode(), err.decode())

    assert invoke("init").exit_code == 0
    return invoke


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_one_json_line_a_text_and_exit_one_when_something_is_found(run):
    stdin = (
        json.dumps({"id": "a", "text": f"é {SSN} and EMP-123456"})
        + "\n\n"
        + json.dumps({"id": 7, "text": "nothing here"})
        + "\n"
    )
    result = run("classify", "--text", "--json", "-", stdin=stdin)
    assert result.exit_code == 1, result.stderr
    assert lines(result) == [
        {
            "id": "a",
            "spans": [{"start": 2, "end": 13, "entity_type": "US_SSN", "score": 0.9}],
        },
        {"id": 7, "spans": []},
    ]
    assert "spaCy model" in result.stderr


def test_what_the_policy_adds_and_allows_counts(run, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "version: 1\nsandbox: optional\nallow_list: [219-09-9871]\nrecognizers:\n"
        "  - name: staff\n    supported_entity: EMPLOYEE_ID\n    level: confidential\n"
        "    patterns: [{regex: 'EMP-[0-9]{6}', score: 0.9}]\n"
    )
    assert run("policy", "apply", policy).exit_code == 0
    stdin = json.dumps({"id": 1, "text": f"é {SSN} and EMP-123456"})
    result = run("classify", "--text", "--json", "-", stdin=stdin)
    assert [s["entity_type"] for s in lines(result)[0]["spans"]] == ["EMPLOYEE_ID"]
    assert result.exit_code == 1


def test_values_of_catalogued_data_are_recognised(run, tmp_path):
    table = tmp_path / "people.csv"
    ends = [a + b for a in "abcdef" for b in "klmno"]
    rows = [f"Qorvax Zimblet{e},{300 + n}-12-{4000 + n}" for n, e in enumerate(ends)]
    table.write_text("full_name,ssn\n" + "\n".join(rows) + "\n")
    assert run("catalog", "add", "people", table).exit_code == 0
    stdin = json.dumps({"id": 1, "text": "then qorvax zimbletak left"})
    result = run("classify", "--text", "--json", "-", stdin=stdin)
    (span,) = lines(result)[0]["spans"]
    assert (span["start"], span["end"], span["score"] >= 0.99) == (5, 21, True)


@pytest.mark.parametrize(
    "bad",
    [b'{"id": 1}', b'{"id": 1, "text": 5}', b"[1]", SSN.encode(), b"\xff\xfe", b"[" * 99_999],
    ids=["no text", "a number", "a list", "prose", "no utf-8", "deep"],
)  # fmt: skip
def test_a_bad_line_is_named_by_its_number_and_never_shown(run, tmp_path, bad):
    file = tmp_path / "in.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"id": 1, "text": "ok"}\n' + bad + b"\n")
    result = run("classify", "--text", "--json", file)
    assert result.exit_code == 2
    assert "line 2" in result.stdout + result.stderr
    assert SSN not in result.stdout + result.stderr
    assert result.stdout.startswith('{"id": 1, "spans": []}'), "earlier lines were printed"


def test_odd_characters_keep_offsets_and_stay_valid_json(run):
    texts = ["\ud800 219-09-9871", "\x00219-09-9871", "\u202e ２１９-09-9871", "x" * 100_000]
    stdin = "\n".join(json.dumps({"id": t[:1], "text": t}) for t in texts)
    result = run("classify", "--text", "--json", "-", stdin=stdin)
    found = lines(result)
    assert [len(line["spans"]) for line in found] == [1, 1, 1, 0]
    assert [line["spans"][0]["start"] for line in found[:3]] == [2, 1, 2]


def test_people_get_places_and_no_values(run):
    stdin = json.dumps({"id": "a", "text": f"{SSN} x"})
    result = run("classify", "--text", "-", stdin=stdin)
    assert "a: US_SSN 0-11" in result.stdout + result.stderr
    assert SSN not in result.stdout + result.stderr


def test_a_missing_file_is_an_error(run, tmp_path):
    result = run("classify", "--text", tmp_path / "none.jsonl")
    assert result.exit_code == 2
    assert "CLO-INPUT-005" in result.stdout + result.stderr
