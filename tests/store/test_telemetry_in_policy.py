"""Telemetry and traces are off unless the policy says so, in a form that can be used."""

import pytest
from cloister.core.telemetry import TelemetryRules
from cloister.store.policy import check_policy, load_policy


def test_nothing_is_sent_by_default(home):
    policy = load_policy(home)
    assert policy.telemetry == TelemetryRules(None, None)
    assert not any(rule.traceparent for rule in policy.egress)


def test_a_collector_and_hosts_that_get_traces_are_named(home):
    home.policy_path.write_text(
        "version: 1\n"
        "telemetry: {otlp: 'https://collector.example.org/v1/traces', ca_file: /etc/ca.pem}\n"
        "egress: {allow: [{host: a.example.org, traceparent: true, inspect: false},"
        " {host: b.example.org}]}\n"
    )
    policy = load_policy(home)
    assert policy.telemetry.otlp == "https://collector.example.org/v1/traces"
    assert policy.telemetry.ca_file == "/etc/ca.pem"
    assert [rule.traceparent for rule in policy.egress] == [True, False]
    assert policy.egress[0].inspect  # in a tunnel that stays closed no header can be added


@pytest.mark.parametrize(
    "section",
    [
        "telemetry: {otlp: collector.example.org}",
        "telemetry: {otlp: 'grpc://collector.example.org'}",
        "telemetry: {otlp: 'https://collector.example.org/?key=1'}",
        "telemetry: {ca_file: /etc/ca.pem}",
        "telemetry: {otlp: 'https://c.example.org', ca_file: relative.pem}",
        "telemetry: {otel: 'https://c.example.org'}",
        "egress: {allow: [{host: a.example.org, traceparent: 'yes'}]}",
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, section):
    path = tmp_path / "policy.yaml"
    path.write_text(f"version: 1\n{section}\n")
    assert check_policy(path)
