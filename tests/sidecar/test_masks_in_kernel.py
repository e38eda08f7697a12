"""A policy's masks in a real guarded kernel: in tables, at the gate, and undone by the broker."""

from __future__ import annotations

import getpass

import pytest
from cloister.cli.main import run
from cloister.store.home import Home, ensure_home
from cloister.store.lineage_reader import LineageReader

SSN = "219-09-9871"
POLICY = """\
version: 1
masks:
  US_SSN: {{kind: reversible}}
  CREDIT_CARD: {{kind: partial, last: 3}}
  EMAIL_ADDRESS: {{kind: domain}}
  AGE: {{kind: bands}}
reveal:
  - {{users: [{user}], entities: [US_SSN]}}
"""
TABLE = f"""
import pandas as pd, cloister
df = pd.DataFrame({{
    "ssn": ["{SSN}", "457-55-5462"] * 5,
    "age": [34, 61] * 5,
    "card": ["4111 1111 1111 1111"] * 10,
}})
"""


@pytest.fixture
def kernel(start_kernel, home):
    ensure_home(Home(home))
    (home / "policy.yaml").write_text(POLICY.format(user=getpass.getuser()), "utf-8")
    kernel = start_kernel()
    assert kernel.run(TABLE).status == "ok"
    return kernel


def test_tables_and_printed_text_have_the_same_masks(kernel):
    shown = kernel.run("df")
    assert "30-39" in shown.html
    assert "US_SSN~~" in shown.html
    assert "[CREDIT_CARD …111]" in shown.html
    printed = kernel.run(
        f"print('card 4111 1111 1111 1111 of maria@example.org with ssn {SSN}', df.ssn[0])"
    )
    assert "[CREDIT_CARD …111] of @example.org with ssn US_SSN~~" in printed.text
    tokens = [word for word in printed.text.split() if word.startswith("US_SSN~~")]
    assert len(set(tokens)) == 1, "the gate and the hooks make one token"
    for result in (shown, printed):
        assert SSN not in result.everything
        assert "maria" not in result.everything


def test_the_broker_undoes_tokens_and_the_gate_masks_them_again(kernel, home, capsys):
    kernel.run("tokens = cloister.mask(df).ssn; values = cloister.reveal(tokens)")
    assert kernel.run("(values == df.ssn.str.replace('-', '')).all(), len(set(tokens))").text == (
        "(np.True_, 2)"
    )
    printed = kernel.run("print(values[0])")
    assert printed.text.startswith("US_SSN~~")
    assert "219099871" not in printed.everything
    denied = kernel.run("cloister.reveal('CREDIT_CARD~~' + tokens[0].partition('~~')[2])")
    assert denied.reply["ename"] == "RevealDenied"
    assert "CLO-REVEAL-001" in denied.reply["evalue"]
    with LineageReader(Home(home)) as reader:
        told = [e for e in reader.entries() if e.type.startswith("reveal.")]
    assert [e.type for e in told] == ["reveal.allowed", "reveal.denied"]
    assert told[0].body["entities"] == {"US_SSN": 2}
    assert told[0].body["execution_id"]
    assert run(["lineage", "verify"]) == 0
    assert SSN not in "".join(capsys.readouterr())


def test_a_preview_passes_the_gate(kernel):
    shown = kernel.run("cloister.preview(df, rows=5)")
    assert shown.status == "ok"
    assert SSN not in shown.everything
