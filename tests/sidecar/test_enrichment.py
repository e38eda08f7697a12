"""Vendors get rows of people who agreed, and of those the listed fields; nothing else."""

from __future__ import annotations

import csv
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from cloister.core.labels import Level
from cloister.sidecar.llm.consent import ConsentBook, agrees, canonical
from cloister.store.catalog import Catalog
from hypothesis import given
from hypothesis import strategies as st
from providers import Model, Rig, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = 1_000
WITHOUT = 137
FIELDS = ("customer_id", "email", "city")


def people(rows: int = ROWS, without: int = WITHOUT) -> list[dict[str, str]]:
    return [
        {
            "customer_id": f"{i:05d}",
            "name": f"Anna Lind-{chr(97 + i % 26)}{i}",
            "email": f"person{i}@example.org",
            "city": ["Oslo", "Bergen", "Turku"][i % 3],
            "ssn": f"536-{10 + i % 89}-{1000 + i}",
            "agreed": "no" if i % 7 == 3 and i // 7 < without else "yes",
        }
        for i in range(rows)
    ]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    new = path.with_suffix(".new")
    with new.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    os.replace(new, path)  # noqa: PTH105 - as programs that keep data do
    return path


@pytest.fixture
def vendor() -> Iterator[Any]:
    with serving() as server:
        server.say = lambda handler, body: handler.answer({"scores": len(json.loads(body))})
        yield server


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "warehouse"
    directory.mkdir()
    return write(directory / "customers.csv", people())


@pytest.fixture
def desk(rig: Rig, vendor: Any, data: Path) -> Rig:
    """A rig with a vendor that may get three fields of the customers' data as they are."""
    Catalog(rig.home).add(
        "customers", data, purpose="marketing, geo-enrichment", consent="agreed", owner="ada"
    )
    set_vendor(rig, vendor)
    rig.level = Level.CONFIDENTIAL
    return rig


def set_vendor(rig: Rig, vendor: Any, **more: Any) -> None:
    terms = {
        "dataset": "customers",
        "key": "customer_id",
        "purpose": "geo-enrichment",
        "fields": list(FIELDS),
    }
    provider = {
        "name": "geo",
        "hosts": ["127.0.0.1"],
        "region": "eu",
        "redact": False,
        "level": {"plain": "confidential"},
        "enrichment": terms | more.pop("enrichment", {}),
    }
    rig.allow(vendor, providers=[provider | more])


def got(vendor: Any, number: int = -1) -> list[dict]:
    return json.loads(vendor.seen[number][2])


def test_1000_rows_of_which_137_did_not_agree(desk: Rig, vendor: Any) -> None:
    rows = people()
    assert sum(row["agreed"] == "no" for row in rows) == WITHOUT
    answer = desk.post(vendor.url, rows)
    assert answer.status_code == 200
    assert answer.json() == {"scores": ROWS - WITHOUT}
    assert answer.headers["X-Cloister-Records"] == "863 of 1000"
    expected = [{k: r[k] for k in FIELDS} for r in rows if r["agreed"] == "yes"]
    assert got(vendor) == expected
    assert len(expected) == 863
    (decided,) = desk.kinds("enrichment.decided")
    assert (decided["rows"], decided["sent"], decided["withheld"]) == (1000, 863, {"consent": 137})
    assert (decided["dataset"], decided["purpose"]) == ("customers", "geo-enrichment")
    assert decided["fields_withheld"] == 863 * 3
    assert "example.org" not in repr(desk.records)


def test_consent_withdrawn_on_the_way_counts_for_the_next_batch(
    desk: Rig, vendor: Any, data: Path
) -> None:
    rows = people()
    batches = [rows[i : i + 250] for i in range(0, ROWS, 250)]
    sent = []
    for i, batch in enumerate(batches):
        if i == 2:
            write(data, [r | {"agreed": "no"} if int(r["customer_id"]) >= 600 else r for r in rows])
        answer = desk.post(vendor.url, batch)
        sent.append(len(got(vendor)) if answer.status_code == 200 else 0)
        assert (answer.status_code == 200) == (i < 3)
    agreed = [sum(r["agreed"] == "yes" for r in batch) for batch in batches]
    late = sum(r["agreed"] == "yes" for r in batches[2] if int(r["customer_id"]) < 600)
    assert sent == [agreed[0], agreed[1], late, 0]
    assert answer.headers["X-Cloister-Code"] == "CLO-LLM-006"
    assert [d["sent"] for d in desk.kinds("enrichment.decided")] == sent
    assert len(vendor.seen) == 3


def test_what_the_kernel_says_about_consent_counts_for_nothing(desk: Rig, vendor: Any) -> None:
    answer = desk.post(vendor.url, [row | {"agreed": "yes"} for row in people()])
    assert len(got(vendor)) == 863
    assert answer.status_code == 200


def test_values_of_others_do_not_leave_with_the_key_of_one_who_agreed(
    desk: Rig, vendor: Any
) -> None:
    rows = people()
    yes, no = rows[0], next(r for r in rows if r["agreed"] == "no")
    answer = desk.post(vendor.url, [yes, yes | {"email": no["email"]}, yes | {"city": no["ssn"]}])
    assert answer.status_code == 200
    assert got(vendor) == [{k: yes[k] for k in FIELDS}]
    assert desk.kinds("enrichment.decided")[0]["withheld"] == {"differs": 2}


def test_rows_that_nobody_knows_stay(desk: Rig, vendor: Any) -> None:
    answer = desk.post(vendor.url, [{"customer_id": "99999", "email": "x@example.org"}, {"a": 1}])
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (403, "CLO-LLM-006")
    assert vendor.seen == []
    assert desk.kinds("enrichment.decided")[0]["withheld"] == {"unknown": 2}


def test_numbers_are_numbers_however_they_are_written(desk: Rig, vendor: Any) -> None:
    # A frame has read the keys as integers.
    row = people()[18]
    desk.post(vendor.url, [{"customer_id": 18, "email": row["email"], "city": None}])
    assert got(vendor) == [{"customer_id": 18, "email": row["email"], "city": None}]


def test_records_may_stand_in_a_member(desk: Rig, vendor: Any) -> None:
    set_vendor(desk, vendor, enrichment={"records": "rows"})
    rows = people()[:10]
    answer = desk.post(vendor.url, {"rows": rows, "options": {"country": "NO"}})
    assert answer.status_code == 200, answer.text
    document = json.loads(vendor.seen[-1][2])
    assert document["options"] == {"country": "NO"}
    assert len(document["rows"]) == 9
    no = next(r for r in rows if r["agreed"] == "no")
    answer = desk.post(vendor.url, {"rows": rows, "note": f"and {no['ssn']}"})
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (403, "CLO-LLM-005")
    assert len(vendor.seen) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"customer_id": {"0": 1}}',
        b'[["00001", "a@example.org"]]',
        b'[{"customer_id": "00001", "email": ["x@example.org"]}]',
        b"[]",
        b"customer_id,email\n00001,person1@example.org\n",
        b'"00001"',
    ],
)
def test_what_is_no_list_of_records_is_refused(desk: Rig, vendor: Any, body: bytes) -> None:
    for headers in ({}, {"Content-Type": "application/json"}):
        answer = desk.session.post(vendor.url, data=body, headers=headers, timeout=20)
        assert answer.status_code in {403, 451}
        assert answer.headers["X-Cloister-Code"] in {"CLO-LLM-003", "CLO-LLM-005"}
    assert vendor.seen == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"purpose": "credit scoring"}, "providers.geo.enrichment.purpose"),
        ({"dataset": "unknown"}, "providers.geo.enrichment"),
        ({"key": "no_column"}, "providers.geo.enrichment"),
        ({"fields": ["customer_id", "no_column"]}, "providers.geo.enrichment"),
    ],
)
def test_terms_that_do_not_fit_the_data_are_refused(
    desk: Rig, vendor: Any, change: dict, rule: str
) -> None:
    set_vendor(desk, vendor, enrichment=change)
    answer = desk.post(vendor.url, people()[:3])
    assert (answer.status_code, answer.headers["X-Cloister-Rule"]) == (403, rule)
    assert vendor.seen == []


def test_data_without_a_consent_column_is_refused(rig: Rig, vendor: Any, data: Path) -> None:
    Catalog(rig.home).add("customers", data, purpose="geo-enrichment")
    set_vendor(rig, vendor)
    answer = rig.post(vendor.url, people()[:3])
    assert answer.headers["X-Cloister-Rule"] == "providers.geo.enrichment.consent"
    assert vendor.seen == []


def test_values_leave_as_tokens_where_the_vendor_is_redacted(desk: Rig, vendor: Any) -> None:
    def echo(handler: Model, body: bytes) -> None:
        handler.answer([r | {"score": 1} for r in json.loads(body)])

    vendor.say = echo
    set_vendor(desk, vendor, redact=True, level={"redacted": "confidential"})
    rows = people()[:3]
    answer = desk.post(vendor.url, rows)
    assert "example.org" not in vendor.seen[-1][2].decode()
    assert [r["email"] for r in answer.json()] == [r["email"] for r in rows]


def test_a_vendor_gets_no_more_than_its_level(desk: Rig, vendor: Any) -> None:
    desk.level = Level.RESTRICTED
    answer = desk.post(vendor.url, people()[:3])
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (403, "CLO-LLM-001")
    assert vendor.seen == []


def test_a_vendor_in_a_wrong_region_or_without_a_contract_gets_nothing(
    desk: Rig, vendor: Any
) -> None:
    set_vendor(desk, vendor, contract_until="2026-11-01")
    assert desk.post(vendor.url, people()[:3]).headers["X-Cloister-Rule"].endswith("contract_until")
    assert vendor.seen == []


def test_a_key_with_several_rows_needs_a_yes_in_each(desk: Rig, vendor: Any, data: Path) -> None:
    rows = people()[:2]
    write(data, [*rows, rows[0] | {"agreed": "no"}, rows[1] | {"city": "Rome"}])
    desk.post(vendor.url, [*rows, rows[1] | {"city": "Rome"}])
    assert [r["city"] for r in got(vendor)] == [rows[1]["city"], "Rome"]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_other_formats_say_the_same(rig: Rig, vendor: Any, tmp_path: Path, suffix: str) -> None:
    import pandas as pd

    frame = pd.DataFrame(people()[:50])
    frame["agreed"] = frame["agreed"] == "yes"
    frame["customer_id"] = frame["customer_id"].astype(int)
    path = tmp_path / f"customers.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=True)
    Catalog(rig.home).add("customers", path, purpose="geo-enrichment", consent="agreed")
    set_vendor(rig, vendor)
    answer = rig.session.post(vendor.url, data=frame.to_json(orient="records").encode(), timeout=20)
    assert answer.status_code == 200, answer.text
    assert len(got(vendor)) == frame["agreed"].sum()


# Where the kernel can write --------------------------------------------------------------------


def test_consent_in_the_workspace_counts_only_as_it_was_mounted(rig: Rig, vendor: Any) -> None:
    directory = rig.directory / "workspace" / "data"
    directory.mkdir()
    path = write(directory / "customers.csv", people()[:10])
    Catalog(rig.home).add("customers", path, purpose="geo-enrichment", consent="agreed")
    set_vendor(rig, vendor)
    code = "X-Cloister-Rule"
    assert rig.post(vendor.url, people()[:10]).headers[code].endswith("enrichment.consent")
    rig.service.book = ConsentBook(Catalog(rig.home), rig.directory / "workspace", (path,))
    assert rig.post(vendor.url, people()[:10]).status_code == 200
    # A directory above a mounted file can be renamed in the sandbox, and another put there.
    directory.rename(directory.with_name("old"))
    directory.mkdir()
    write(path, [row | {"agreed": "yes"} for row in people()[:10]])
    assert rig.post(vendor.url, people()[:10]).headers[code].endswith("enrichment.consent")
    assert len(vendor.seen) == 1


def test_consent_may_be_given_for_some_purposes(desk: Rig, vendor: Any, data: Path) -> None:
    said = ["geo-enrichment", "marketing", "marketing; Geo-Enrichment", "yes", "no", ""]
    rows = [row | {"agreed": s} for row, s in zip(people(), said, strict=False)]
    write(data, rows)
    desk.post(vendor.url, rows)
    kept = [rows[i]["customer_id"] for i in (0, 2, 3)]
    assert [record["customer_id"] for record in got(vendor)] == kept


@pytest.mark.parametrize(
    "said", [True, 1, "1", 1.0, "TRUE", " Yes ", "y", "granted", "geo", "a|geo", ["a", "geo"]]
)
def test_this_is_a_yes(said: object) -> None:
    assert agrees(said, "geo")


@pytest.mark.parametrize(
    "said", [False, 0, None, "", "no", "n", "2", "geography", "not geo", "withdrawn", [], [None]]
)
def test_anything_else_is_a_no(said: object) -> None:
    assert not agrees(said, "geo")


@given(st.one_of(st.integers(), st.text(), st.floats(allow_nan=False, allow_infinity=False)))
def test_a_canonical_text_is_its_own(value: object) -> None:
    once = canonical(value)
    assert canonical(once) == once


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (17, "017"),
        (17.0, "17"),
        ("1.50", 1.5),
        (True, "true"),
        (None, ""),
        (float("nan"), None),
        ("2026-01-02", "2026-01-02T00:00:00.000"),
        (" Oslo ", "Oslo"),
        ("1E+999999999", " 1E+999999999"),
    ],
)
def test_one_value_written_twice(one: object, other: object) -> None:
    assert canonical(one) == canonical(other)
