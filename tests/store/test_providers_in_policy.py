"""What a schema cannot see in ``providers``: names, dates, addresses."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cloister.store.policy import check_policy, load_policy

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """version: 1
regions: [eu]
providers:
  - name: cloud
    hosts: [api.example.com, "*.models.example.com"]
    style: openai
    region: eu
    contract_until: 2027-03-31
    level: {redacted: confidential, plain: public}
    retention_days: 30
egress:
  allow:
    - {host: api.example.com}
"""


def test_a_date_needs_no_quotes(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    for text in (GOOD, GOOD.replace("2027-03-31", '"2027-03-31"')):
        path.write_text(text)
        # Twice: the second time it comes out of its cache.
        for _ in range(2):
            policy = load_policy(path, tmp_path / "cache.json")
            assert policy.providers[0].contract_until == dt.date(2027, 3, 31)
    assert policy.providers[0].has_host("a.models.example.com")
    assert not policy.providers[0].has_host("models.example.com")


@pytest.mark.parametrize(
    ("old", "new", "path", "said"),
    [
        ("{host: api.example.com}", "{host: x, provider: y}", "egress.allow[0].provider", ""),
        (
            "region: eu",
            "ports: [443]\n  - name: b\n    hosts: [API.example.com]",
            "providers[1].hosts",
            "cloud has one of these",
        ),
        ("region: eu", "url: http://api.example.com:80", "providers[0].url", "local"),
        (
            "region: eu",
            "local: true\n    url: http://b.example.com:8000",
            "providers[0].url",
            "no host of this provider",
        ),
        (
            "region: eu",
            "local: true\n    ports: [8001]\n    url: http://api.example.com:8000",
            "providers[0].url",
            "no port of this provider",
        ),
        ("2027-03-31", '"2027-02-31"', "providers[0].contract_until", "no date"),
        ("2027-03-31", "soon", "providers[0].contract_until", ""),
        (
            "region: eu",
            "region: eu\n  - {name: cloud, hosts: [b.example.com]}\n  - name: c\n"
            "    hosts: [d.example.com]",
            "providers[1].name",
            "another provider",
        ),
        ("style: openai", "style: opnai", "providers[0].style", "openai"),
        ("retention_days: 30", "price: 30", "providers[0].price", ""),
    ],
)
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, old: str, new: str, path: str, said: str
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(GOOD.replace(old, new))
    assert [(p.path, said in p.message) for p in check_policy(file)] == [(path, True)]
