"""Owners and overrides: all may raise a label, only the owner lowers it, and all is remembered."""

from __future__ import annotations

import json

import pytest
from cloister.core.labels import Level
from cloister.core.policy import ColumnRule
from cloister.store.catalog import Catalog, CatalogError
from cloister.store.home import Home, ensure_home
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def home(tmp_path):
    return ensure_home(Home(tmp_path / "home"))


@pytest.fixture
def catalog(home, tmp_path):
    (tmp_path / "parts.csv").write_text("number\n1\n")
    catalog = Catalog(home)
    catalog.add("parts", tmp_path / "parts.csv", owner="maya")
    return catalog


def lower(catalog, by="maya", reason="part numbers", level=Level.INTERNAL, name="parts"):
    return catalog.label(name, "number", level, by=by, found=Level.RESTRICTED, reason=reason)


def code_of(call):
    with pytest.raises(CatalogError) as caught:
        call()
    assert caught.value.remedy
    return caught.value.code


def test_only_the_owner_lowers_and_only_with_a_reason(catalog):
    assert code_of(lambda: lower(catalog, by="bob")) == "CLO-CATALOG-006"
    assert code_of(lambda: lower(catalog, by=None)) == "CLO-CATALOG-006"
    assert code_of(lambda: lower(catalog, reason=" ")) == "CLO-CATALOG-007"
    assert catalog.show("parts").history == ()
    label = lower(catalog).labels["number"]
    assert (label.level, label.lowered_by, label.found) == ("internal", "maya", "restricted")


def test_anyone_raises_and_a_raise_never_lowers_what_is_detected(catalog):
    label = catalog.label("parts", "number", Level.RESTRICTED, by="bob", found=Level.PUBLIC).labels[
        "number"
    ]
    assert (label.level, label.by, label.lowered_by) == ("restricted", "bob", None)
    (rule,) = catalog.show("parts").column_rules()
    assert not rule.lowers


def test_taking_back_a_declared_raise_is_a_lowering(catalog):
    catalog.label("parts", "number", Level.RESTRICTED, by="bob", found=Level.PUBLIC)

    def take_back(by, reason="not needed"):
        return catalog.label(
            "parts", "number", Level.INTERNAL, by=by, found=Level.PUBLIC, reason=reason
        )

    assert code_of(lambda: take_back("bob")) == "CLO-CATALOG-006"
    label = take_back("maya").labels["number"]
    assert label.lowered_by is None, "it is not below what is detected, so detection may raise it"


def test_a_lowered_label_can_be_raised_by_all(catalog):
    lower(catalog, level=Level.PUBLIC)
    between = catalog.label("parts", "number", Level.INTERNAL, by="bob", found=Level.RESTRICTED)
    assert between.labels["number"].lowered_by == "maya", "still hers, a little higher"
    above = catalog.label("parts", "number", Level.RESTRICTED, by="bob", found=Level.RESTRICTED)
    assert above.labels["number"].lowered_by is None


def test_nothing_to_look_at_means_upward_only(catalog):
    label = catalog.label("parts", "other", Level.PUBLIC, by="maya", reason="trust me").labels[
        "other"
    ]
    assert label.lowered_by is None


def test_every_declaration_stays_in_the_history(catalog):
    lower(catalog)
    catalog.label("parts", "number", Level.RESTRICTED, by="bob", found=Level.RESTRICTED)
    history = catalog.show("parts").history
    assert [(h.change, h.before, h.after, h.by, h.reason) for h in history] == [
        ("lowered", "restricted", "internal", "maya", "part numbers"),
        ("raised", "internal", "restricted", "bob", ""),
    ]
    assert all(h.at > 1_700_000_000 for h in history)


def test_a_second_dataset_on_the_same_file_lowers_nothing(catalog, tmp_path):
    """Else anyone could add the file once more, own it, and lower it."""
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "parts.csv")
    for name, path in (("again", tmp_path / "parts.csv"), ("aside", link), ("wide", tmp_path)):
        catalog.add(name, path, owner="bob")
        assert code_of(lambda n=name: lower(catalog, by="bob", name=n)) == "CLO-CATALOG-008"
        catalog.remove(name, by="bob")
    # The other way round: hers was lowered first, then another owner claims the same file.
    lower(catalog)
    assert catalog.resolve(tmp_path / "parts.csv").column_rules()[0].lowers
    catalog.add("again", tmp_path / "*.csv", owner="bob")
    assert not catalog.resolve(tmp_path / "parts.csv").column_rules()[0].lowers


def test_only_the_owner_or_an_admin_hands_on_or_removes(catalog):
    assert code_of(lambda: catalog.remove("parts", by="bob")) == "CLO-CATALOG-006"
    assert code_of(lambda: catalog.set_owner("parts", "bob", by="bob")) == "CLO-CATALOG-006"
    assert catalog.set_owner("parts", "bob", by="maya").owner == "bob"
    assert catalog.set_owner("parts", "eve", by="root", is_admin=True).owner == "eve"
    catalog.remove("parts", by="eve")


def test_a_catalogue_of_the_first_version_loads_and_is_written_anew(home, tmp_path):
    old = {
        "version": 1,
        "datasets": [
            {
                "name": "old", "path": str(tmp_path / "x.csv"), "purpose": "care", "consent": None,
                "labels": {"mrn": {"level": "restricted", "entity_type": "MEDICAL_RECORD"}},
                "declared_at": 1_700_000_000,
            }
        ],
    }  # fmt: skip
    home.catalog_path.write_text(json.dumps(old))
    catalog = Catalog(home)
    dataset = catalog.show("old")
    assert (dataset.owner, dataset.history) == (None, ())
    assert dataset.labels["mrn"].level == "restricted"
    assert code_of(lambda: lower(catalog, name="old")) == "CLO-CATALOG-006", "it has no owner yet"
    catalog.set_owner("old", "maya", by="maya")
    assert json.loads(home.catalog_path.read_text())["version"] == 2
    assert catalog.show("old").labels["mrn"].entity_type == "MEDICAL_RECORD"


@pytest.mark.parametrize(
    "damage",
    [
        {"owner": 7},
        {"history": [{}]},
        {"history": 3},
        {"labels": {"a": {"level": "public", "entity_type": None, "lowered_by": 1}}},
        {"labels": {"a": {"level": "public", "entity_type": None, "found": "low"}}},
        {"labels": {"a": {"level": "public"}}},
        {"unknown": 1},
    ],
)
def test_damage_in_the_new_fields_is_refused(home, tmp_path, damage):
    dataset = {"name": "a", "path": "/x", "labels": {}, **damage}
    home.catalog_path.write_text(json.dumps({"version": 2, "datasets": [dataset]}))
    with pytest.raises(CatalogError) as caught:
        Catalog(home).list()
    assert caught.value.code == "CLO-CATALOG-001"


def test_the_policys_rules_raise_what_the_catalogue_declares(catalog):
    policy = (ColumnRule("columns[0]", "num*", Level.CONFIDENTIAL, "PERSON_ID"),)
    catalog.label("parts", "number", Level.INTERNAL, by="bob", found=Level.PUBLIC)
    (rule,) = catalog.show("parts").column_rules(policy)
    assert (rule.level, rule.entity_type) == (Level.CONFIDENTIAL, "PERSON_ID")
    catalog.label(
        "parts", "number", Level.PUBLIC, by="maya", found=Level.CONFIDENTIAL, reason="counts"
    )
    (rule,) = catalog.show("parts").column_rules(policy)
    assert (rule.level, rule.lowers) == (Level.PUBLIC, True)


def test_a_lowering_is_for_one_exact_name(catalog):
    lower(catalog)
    rules = catalog.show("parts").column_rules()
    assert rules[0].matches("number")
    assert not rules[0].matches("NUMBER")


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(list(Level)), st.sampled_from(["maya", "bob"]), st.booleans()),
        max_size=8,
    ),
    found=st.sampled_from(list(Level)),
)
def test_no_sequence_by_others_ends_below_what_the_owner_allowed(tmp_path_factory, steps, found):
    home = ensure_home(Home(tmp_path_factory.mktemp("law") / "home"))
    catalog = Catalog(home)
    catalog.add("d", "/nowhere", owner="maya")
    allowed = found  # the lowest that maya said
    for level, by, has_reason in steps:
        try:
            catalog.label("d", "c", level, by=by, found=found, reason="why" * has_reason)
        except CatalogError:
            continue
        if by == "maya":
            allowed = min(allowed, level)
        label = catalog.show("d").labels["c"]
        effective = (
            Level.parse(label.level) if label.lowered_by else max(found, Level.parse(label.level))
        )
        assert effective >= min(allowed, found)
