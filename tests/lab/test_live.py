"""A real server tells what the record says: metrics, Jupyter events, and spans for a collector."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cloister.core.records import Record
from cloister.core.traces import span_id_of, traceparent
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.lineage_reader import LineageReader
from labserver import Execution, append, make_home, run_server
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

PATIENCE_S = 30
KERNEL = "00000000-1111-4222-8333-444444444444"
USER, NOTEBOOK, HOST = "a-telling-user", "a-telling-notebook.ipynb", "a-telling-host.example.org"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """An OpenTelemetry collector that takes traces over OTLP/HTTP, as far as a test needs one."""

    def __init__(self):
        received = self.received = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                request = ExportTraceServiceRequest()
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                request.ParseFromString(body)
                received.append((self.path, body, request))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    @property
    def spans(self):
        return [
            span
            for _, _, request in self.received
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture(scope="module")
def collector():
    collector = Collector()
    yield collector
    collector.server.shutdown()


def size(home):
    with LineageReader(home) as reader:
        return reader.checkpoint().size


@pytest.fixture(scope="module")
def watched(tmp_path_factory, collector):
    """A server on a workspace whose policy names the collector; events go to a file."""
    base = tmp_path_factory.mktemp("live")
    home = make_home(base / "home")
    append(home, Execution(KERNEL))  # before the server: told by nobody
    home.policy_path.write_text(f"version: 1\ntelemetry: {{otlp: '{collector.url}'}}\n")
    config = (
        "import logging\n"
        f"c.EventLogger.handlers = [logging.FileHandler({str(base / 'events.log')!r})]\n"
    )
    with run_server(base, home, config=f"c = get_config()\n{config}") as server:
        server.settle()  # its start and its first session are events, too
        wait_for(lambda: metrics(server)[1]["cloister_record_events",] == size(home))
        yield server


@pytest.fixture
def events(watched):
    """Reads the Jupyter events of our schemas that were emitted so far."""

    def events(kind):
        path = watched.root.parent / "events.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [
            e for e in map(json.loads, lines) if e["__schema__"] == f"urn:cloister:event:{kind}"
        ]

    return events


def wait_for(found):
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := found()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def metrics(server):
    answer = server.request("GET", "metrics")
    assert answer.status_code == 200
    return answer.text, {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name.startswith("cloister_")
    }


def told(home):
    """An execution in a client's trace that reads, sends and has an output blocked."""
    execution = Execution(
        KERNEL, notebook=NOTEBOOK, user=USER, shown=2, masked=1, blocked=3, status="error",
        reads=[{"path": "/data/a-telling-path.csv"}], labels=["US_SSN"],
    )  # fmt: skip
    intent, result = execution.records()
    intent.body.update(trace_id=TRACE, parent_span_id=PARENT)
    result.body["execution_count"] = 2**70  # a kernel chooses it
    who = {"execution_id": intent.body["execution_id"], "kernel_id": KERNEL, "host": HOST}
    with LineageLog(home, open_keyring(home)) as log:
        log.append(
            [
                intent,
                Record("egress.allowed", {**who, "decision": "allow", "phase": "opened"}),
                Record("egress.allowed", {**who, "decision": "allow", "phase": "closed"}),
                Record("egress.denied", {**who, "decision": "block", "rule": "egress.default"}),
                result,
                Record("policy.applied", {"user": USER, "policy_digest": "ab" * 32}),
            ]
        )
    return intent


def test_metrics_count_what_the_record_gains(watched):
    _, before = metrics(watched)
    told(watched.home)
    wait_for(
        lambda: (
            metrics(watched)[1]["cloister_executions_total", "error"]
            > before["cloister_executions_total", "error"]
        )
    )
    text, after = metrics(watched)
    gained = {key: after[key] - before.get(key, 0) for key in after if key[0].endswith("_total")}
    assert gained == {
        ("cloister_executions_total", "ok"): 0,
        ("cloister_executions_total", "error"): 1,
        ("cloister_executions_total", "aborted"): 0,
        ("cloister_executions_total", "killed"): 0,
        ("cloister_executions_total", "other"): 0,
        ("cloister_outputs_total", "shown"): 2,
        ("cloister_outputs_total", "masked"): 1,
        ("cloister_outputs_total", "blocked"): 3,
        ("cloister_egress_total", "allowed"): 1,
        ("cloister_egress_total", "denied"): 1,
    }
    assert after["cloister_record_events",] == before["cloister_record_events",] + 6
    assert abs(after["cloister_record_checkpoint_timestamp_seconds",] - time.time()) < 60
    assert after["cloister_record_readable",] == 1
    assert after["cloister_record_bytes",] > 10_000
    for telling in (USER, NOTEBOOK, HOST, "a-telling-path"):
        assert telling not in text


def test_metrics_tell_what_the_last_verification_found(watched):
    def state():
        found = metrics(watched)[1]
        return [k[1] for k, v in found.items() if k[0] == "cloister_record_verification" and v]

    assert state() == ["unknown"]
    assert watched.post("verify").json()["ok"]
    assert state() == ["whole"]
    append(watched.home, Execution(KERNEL))
    assert state() == ["whole_then"]


def test_metrics_are_for_who_may_see_them(watched):
    assert watched.request("GET", "metrics", token="").status_code == 403


def test_jupyter_events_fit_their_schemas_and_hold_no_data(watched, events):
    intent = told(watched.home)
    name = intent.body["execution_id"]
    wait_for(lambda: [e for e in events("execution") if e["execution_id"] == name])
    (execution,) = [e for e in events("execution") if e["execution_id"] == name]
    wait_for(lambda: [e for e in events("policy-change") if e["seq"] > execution["seq"]])
    assert execution["__schema_version__"] == "1"
    assert execution["outputs"] == {"shown": 2, "masked": 1, "blocked": 3}
    assert (execution["status"], execution["labels"]) == ("error", ["US_SSN"])
    blocks = [e for e in events("block") if e["execution_id"] == name]
    assert [(b["what"], b["count"], b["rule"]) for b in blocks] == [
        ("egress", 1, "egress.default"),
        ("output", 3, None),
    ]
    change = events("policy-change")[-1]
    assert (change["change"], change["user"], change["digest"]) == ("applied", USER, "ab" * 32)
    everything = json.dumps([events("execution"), events("block")])
    for telling in (USER, NOTEBOOK, HOST, "a-telling-path"):
        assert telling not in everything


def test_a_collector_gets_one_span_for_each_execution(watched, collector):
    intent = told(watched.home)
    append(watched.home, Execution(KERNEL))
    (span,) = wait_for(
        lambda: [s for s in collector.spans if s.span_id.hex() == span_id_of(intent.body)]
    )
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert traceparent(intent.body) == f"00-{TRACE}-{span.span_id.hex()}-01"
    said = {a.key: a.value for a in span.attributes}
    assert said["cloister.status"].string_value == "error"
    assert said["cloister.outputs.blocked"].int_value == 3
    assert said["cloister.reads"].int_value == 1
    assert [event.name for event in span.events] == ["egress.allowed", "egress.denied"]
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    assert abs(span.end_time_unix_nano / 1e9 - time.time()) < 60
    path, _, request = collector.received[0]
    assert path == "/v1/traces"
    resource = {a.key: a.value.string_value for a in request.resource_spans[0].resource.attributes}
    assert resource["service.name"] == "cloister"
    assert resource["service.instance.id"] == open_keyring(watched.home).key_name
    assert str(2**70) not in watched.log_path.read_text()  # as a failure to encode it would be
    data = b"".join(body for _, body, _ in collector.received)
    for telling in (USER, NOTEBOOK, HOST, "a-telling-path"):
        assert telling.encode() not in data


def test_spans_stop_when_the_policy_names_nobody(watched, collector, events):
    told(watched.home)
    wait_for(lambda: collector.spans)
    policy = watched.home.policy_path
    text = policy.read_text()
    policy.write_text("version: 1\n")
    append(watched.home, Execution(KERNEL))  # makes the server look at the policy
    wait_for(lambda: len(events("execution")) > 1)
    time.sleep(2.5)  # what waited has left by now
    before = len(collector.spans)
    name = told(watched.home).body["execution_id"]
    assert wait_for(lambda: [e for e in events("execution") if e["execution_id"] == name])
    time.sleep(1.5)
    assert len(collector.spans) == before
    policy.write_text(text)


def test_a_record_that_cannot_be_read_shows(tmp_path):
    home = make_home(tmp_path / "home")
    append(home, Execution(KERNEL))
    with run_server(tmp_path, home) as server:
        wait_for(lambda: metrics(server)[1].get(("cloister_record_readable",)) == 1)
        home.lineage_path.write_bytes(b"no database" * 1000)
        assert wait_for(lambda: metrics(server)[1]["cloister_record_readable",] == 0)
