"""The reading of a page's policy: a browser's rules for what a page may load."""

from __future__ import annotations

import pytest
from cloister.cli.drill.pagepolicy import page_may_call
from cloister_lab.browser import FILE_POLICY, page_policy

CLOSED = "default-src 'self'; form-action 'self'; base-uri 'self'"


def page(*policies, kind="text/html; charset=UTF-8"):
    lines = [f"Content-Type: {kind}", *(f"Content-Security-Policy: {p}" for p in policies)]
    return "\n".join([*lines, ""]).encode() + b"\r\n\r\n<p>"


@pytest.mark.parametrize(
    "policies",
    [
        (CLOSED,),
        ("sandbox", CLOSED),
        (f"sandbox allow-scripts, {CLOSED}",),
        ("default-src 'none'", "form-action 'self'; base-uri 'none'"),
        (page_policy(),),
        (FILE_POLICY,),
    ],
)
def test_a_page_that_may_load_from_its_own_host_only(policies):
    assert not page_may_call(page(*policies))


@pytest.mark.parametrize(
    "policies",
    [
        (),
        ("frame-ancestors 'self'; report-uri /x",),
        ("default-src 'self'",),
        (f"{CLOSED}; img-src *",),
        (f"{CLOSED}; connect-src 'self' wss:",),
        (f"{CLOSED}; style-src https://example.org",),
        (f"img-src *; {CLOSED}; img-src 'self'",),
    ],
)
def test_a_page_that_may_load_from_elsewhere(policies):
    assert page_may_call(page(*policies))


def test_what_is_no_page_calls_nobody():
    assert not page_may_call(page(kind="application/json"))
