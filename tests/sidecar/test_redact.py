"""Secrets leave code before it is kept."""

from __future__ import annotations

import pytest
from cloister.sidecar.redact import redact_secrets


@pytest.mark.parametrize(
    ("code", "secret"),
    [
        ('password = "hunter2 and more"', "hunter2"),
        ("db_password='s3cr3t'", "s3cr3t"),
        ('config = {"api_key": "abcd1234"}', "abcd1234"),
        ('connect("postgresql://ann:hunter2@db/x")', "hunter2"),
        ('headers = {"Authorization": "Bearer abcdefghijklmnop"}', "abcdefghijklmnop"),
        ('key = "AKIA' + "A" * 16 + '"', "AKIAAAAA"),
        ('t = "ghp_' + "a" * 36 + '"', "ghp_aaa"),
        ('openai("sk-' + "a" * 30 + '")', "sk-aaa"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc"),
    ],
)
def test_redacts(code, secret):
    assert secret not in redact_secrets(code)
    assert "[secret]" in redact_secrets(code)


@pytest.mark.parametrize(
    "code", ["df = pd.read_csv('patients.csv')", "token_count = 5", "tokens = tokenizer(text)"]
)
def test_leaves_ordinary_code_alone(code):
    assert redact_secrets(code) == code
