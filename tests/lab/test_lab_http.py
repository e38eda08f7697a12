"""The HTTP API of a real server: who may ask, what is refused, and the shapes of answers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cloister_lab import routes
from cloister_lab.handlers import AUTH_RESOURCE
from jsonschema import Draft202012Validator
from labserver import Execution, Home, append, make_home, run_server, write_state

SCHEMA = json.loads((Path(routes.__file__).parent / "schemas" / "api.json").read_text("utf-8"))
METHODS = [
    (name, method)
    for name, handler in routes.ROUTES
    for method in ("GET", "POST")
    if method.lower() in vars(handler)
]
DENY = f"""
from jupyter_server.auth import Authorizer

class Deny(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return resource != {AUTH_RESOURCE!r}

c = get_config()
c.ServerApp.authorizer_class = Deny
"""


def assert_shape(name, body):
    schema = {"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]}
    errors = [error.message for error in Draft202012Validator(schema).iter_errors(body)]
    assert not errors, errors


def assert_problem(response, status, code):
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("application/problem+json")
    body = response.json()
    assert_shape("Problem", body)
    assert body["code"] == code
    assert body["message"]
    assert re.fullmatch(r"[0-9a-f]{32}", body["id"])
    return body


def test_every_route_is_in_the_table():
    assert {name for name, _ in METHODS} == {"status", "executions", "verify"}
    assert ("verify", "POST") in METHODS


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_refuses_without_token(server, name, method):
    path = f"{routes.API_ROOT}/{name}"
    if method == "GET":
        assert_problem(server.request(method, path, token=""), 403, "CLO-LAB-002")
    wrong = server.request(method, path, token="wrong")
    assert wrong.status_code == 403
    assert set(wrong.json()) == {"code", "message", "remedy", "id"}


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_answers_with_token(server, name, method):
    assert server.request(method, f"{routes.API_ROOT}/{name}").status_code == 200


def test_refuses_what_the_authorizer_denies(tmp_path):
    with run_server(tmp_path, make_home(tmp_path / "home"), config=DENY) as server:
        assert server.request("GET", "api/status").status_code == 200
        for name, method in METHODS:
            response = server.request(method, f"{routes.API_ROOT}/{name}")
            assert_problem(response, 403, "CLO-LAB-002")


def test_status_has_its_shape(server):
    body = server.get("status").json()
    assert_shape("Status", body)
    assert body["policy"]["valid"]
    assert body["kernel"] is None


def test_status_tells_a_guarded_kernel_from_an_unknown_one(server):
    write_state(server.home, "k-guarded")
    guarded = server.get("status", kernel_id="k-guarded").json()
    assert_shape("Status", guarded)
    assert guarded["kernel"]["posture"] == "guarded"
    unknown = server.get("status", kernel_id="k-unknown").json()
    assert_shape("Status", unknown)
    assert unknown["kernel"]["posture"] == "unguarded"
    assert not unknown["kernel"]["guarded"]


def test_executions_have_their_shape_and_order(server):
    append(
        server.home,
        Execution(
            "k1",
            count=1,
            reads=[
                {
                    "path": "/w/patients.csv",
                    "dataset": "patients",
                    "format": "csv",
                    "attested_by": "kernel",
                }
            ],
            masked=2,
            labels=["US_SSN"],
        ),
        Execution(
            "k1",
            count=2,
            status="error",
            egress=[
                {
                    "host": "example.com",
                    "port": 443,
                    "decision": "block",
                    "rule": "egress.default",
                    "via": "proxy",
                    "attested_by": "proxy",
                }
            ],
        ),
        Execution("k2", count=None, notebook=None, is_finished=False),
    )
    body = server.get("executions", limit=3).json()
    assert_shape("ExecutionPage", body)
    assert [row["kernel_id"] for row in body["executions"]] == ["k2", "k1", "k1"]
    assert body["executions"][1]["status"] == "error"
    assert body["executions"][2]["labels"] == ["US_SSN"]
    only = server.get("executions", limit=3, kernel_id="k2").json()
    assert [row["kernel_id"] for row in only["executions"]] == ["k2"]


def test_verify_has_its_shape_and_status_remembers_it(server):
    append(server.home, Execution("k1"))
    body = server.post("verify").json()
    assert_shape("VerifyReport", body)
    assert body["ok"]
    assert body["events"] >= 2
    record = server.get("status").json()["record"]
    assert record == {"ok": True, "last": body}
    append(server.home, Execution("k1"))
    assert server.get("status").json()["record"] == {"ok": None, "last": body}


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("executions", {"limit": "0"}),
        ("executions", {"limit": "201"}),
        ("executions", {"limit": "-1"}),
        ("executions", {"limit": "ten"}),
        ("executions", {"limit": "1e3"}),
        ("executions", {"limit": ["1", "2"]}),
        ("executions", {"before": "x"}),
        ("executions", {"before": "9" * 40}),
        ("executions", {"kernel_id": "../../keys"}),
        ("executions", {"limti": "5"}),
        ("status", {"kernel_id": ""}),
        ("status", {"kernel_id": "a/b"}),
        ("status", {"kernel_id": "a" * 65}),
        ("status", {"kernel_id": ".."}),
        ("verify", {"limit": "5"}),
    ],
)
def test_refuses_parameters_that_make_no_sense(server, path, params):
    body = assert_problem(server.get(path, **params), 400, "CLO-LAB-001")
    assert body["remedy"]
    given = [v for value in params.values() for v in ([value] if isinstance(value, str) else value)]
    assert not any(len(value) > 2 and value in body["message"] for value in given)


def test_a_damaged_record_is_a_refusal_that_names_no_path(tmp_path):
    home = make_home(tmp_path / "home")
    append(home, Execution("k1"))
    home.lineage_path.write_bytes(b"not a database at all" * 1000)
    with run_server(tmp_path, home) as server:
        body = assert_problem(server.get("executions"), 503, "CLO-STORE-002")
        assert str(tmp_path) not in json.dumps(body)
        assert "Traceback" not in server.log_path.read_text()
        verified = server.post("verify").json()
        assert not verified["ok"]
        assert verified["problems"]


def test_a_broken_policy_or_home_does_not_stop_the_server(tmp_path):
    home = make_home(tmp_path / "home")
    home.policy_path.write_text("version: 1\nsandbox: perhaps\n")
    with run_server(tmp_path, home) as server:
        write_state(home, "k1")
        body = server.get("status", kernel_id="k1").json()
        assert_shape("Status", body)
        assert body["posture"] == "degraded"
        assert not body["policy"]["valid"]
        assert body["problems"][0]["remedy"]
        assert body["kernel"]["posture"] == "degraded"
        home.root.chmod(0o755)
        body = server.get("status").json()
        assert_shape("Status", body)
        assert not body["home_ok"]
        assert_problem(server.get("executions"), 503, "CLO-HOME-001")
        assert_problem(server.post("verify"), 503, "CLO-HOME-001")
        home.root.chmod(0o700)


def test_the_server_makes_a_default_home(tmp_path):
    home = Home(tmp_path / "fresh" / "home")
    with run_server(tmp_path, home) as server:
        assert home.policy_path.exists()
        assert home.root.stat().st_mode & 0o777 == 0o700
        assert server.get("status").json()["home_ok"]


def test_the_typescript_types_name_what_the_schema_names():
    source = (Path(__file__).parents[2] / "extension" / "src" / "api.ts").read_text("utf-8")
    interfaces = {
        name: set(re.findall(r"^  (\w+)\??:", body, re.MULTILINE))
        for name, body in re.findall(
            r"export interface (\w+) \{\n(.*?)^\}", source, re.DOTALL | re.MULTILINE
        )
    }
    assert interfaces == {
        name: set(definition["properties"]) for name, definition in SCHEMA["$defs"].items()
    }
