"""The catalogue: names, paths and declared labels; damage is an error, never an empty list."""

import threading

import pytest
from cloister.core.labels import Level
from cloister.store.catalog import Catalog, CatalogError
from cloister.store.home import Home, ensure_home


@pytest.fixture
def home(tmp_path):
    return ensure_home(Home(tmp_path / "home"))


@pytest.fixture
def catalog(home):
    return Catalog(home)


def test_add_show_label_remove(catalog, tmp_path):
    catalog.add("patients", tmp_path / "p.csv", purpose="care", consent="agreed")
    catalog.label("patients", "mrn", Level.RESTRICTED, "MEDICAL_RECORD")
    dataset = Catalog(Home(tmp_path / "home")).show("patients")
    assert (dataset.purpose, dataset.consent) == ("care", "agreed")
    (rule,) = dataset.column_rules()
    assert rule.matches("MRN")
    assert (rule.level, rule.entity_type) == (Level.RESTRICTED, "MEDICAL_RECORD")
    catalog.remove("patients")
    assert catalog.list() == ()


def test_rules_take_wildcards_in_column_names_literally(catalog, tmp_path):
    catalog.add("d", tmp_path)
    catalog.label("d", "a*[b]?", Level.INTERNAL)
    (rule,) = catalog.show("d").column_rules()
    assert rule.matches("a*[b]?")
    assert not rule.matches("aXb!")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda c, p: c.show("nobody"), "CLO-CATALOG-002"),
        (lambda c, p: c.remove("nobody"), "CLO-CATALOG-002"),
        (lambda c, p: c.label("nobody", "x", Level.PUBLIC), "CLO-CATALOG-002"),
        (lambda c, p: (c.add("a", p), c.add("a", p)), "CLO-CATALOG-003"),
        (lambda c, p: c.add("../a", p), "CLO-CATALOG-004"),
        (lambda c, p: (c.add("b", p), c.label("b", "x", Level.PUBLIC, "ssn")), "CLO-CATALOG-004"),
    ],
)
def test_changes_that_make_no_sense_are_refused(catalog, tmp_path, change, code):
    with pytest.raises(CatalogError) as caught:
        change(catalog, tmp_path)
    assert caught.value.code == code


def test_resolve_finds_files_globs_directories_and_links(catalog, tmp_path):
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    for name in ("a.csv", "b.parquet", "deep/c.csv"):
        (data / name).write_text("x")
    link = tmp_path / "link"
    link.symlink_to(data)
    catalog.add("everything", data)
    catalog.add("tables", data / "*.csv")
    catalog.add("exact", data / "a.csv")

    def name(path):
        found = catalog.resolve(path)
        return found and found.name

    assert name(data / "a.csv") == "exact"
    assert name(link / "a.csv") == "exact"
    assert name(data / "deep" / "c.csv") == "everything", "* stays within one directory"
    assert name(data / "b.parquet") == "everything"
    assert name(data / "deep" / ".." / "a.csv") == "exact"
    assert name(tmp_path / "elsewhere.csv") is None
    assert name(tmp_path / "database.csv") is None, "data is no prefix of database"
    catalog.add("linked", link / "deep" / "c.csv")
    assert name(data / "deep" / "c.csv") == "linked"


def test_double_star_crosses_directories(catalog, tmp_path):
    catalog.add("deep", tmp_path / "**" / "*.parquet")
    assert catalog.resolve(tmp_path / "x.parquet").name == "deep"
    assert catalog.resolve(tmp_path / "a" / "b" / "x.parquet").name == "deep"
    assert catalog.resolve(tmp_path / "a" / "x.csv") is None


def test_files_lists_what_is_there(catalog, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.csv").write_text("x")
    (tmp_path / "d" / "2.txt").write_text("x")
    catalog.add("dir", tmp_path / "d")
    catalog.add("glob", tmp_path / "d" / "*.csv")
    catalog.add("gone", tmp_path / "nope.csv")
    assert [p.name for p in catalog.show("dir").files()] == ["1.csv", "2.txt"]
    assert [p.name for p in catalog.show("glob").files()] == ["1.csv"]
    assert catalog.show("gone").files() == ()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"version": 3, "datasets": []}',
        b'{"version": 1, "datasets": [{"name": "a"}]}',
        b'{"version": 1, "datasets": [{"name": "a", "path": "rel", "labels": {}}]}',
        b'{"version": 1, "datasets": [{"name": "a", "path": "/x", "labels": {"c": {}}}]}',
    ],
)
def test_damaged_catalogue_is_an_error_and_stays_as_it_is(home, catalog, damage, tmp_path):
    home.catalog_path.write_bytes(damage)
    for use in (catalog.list, lambda: catalog.resolve("/x"), lambda: catalog.add("b", tmp_path)):
        with pytest.raises(CatalogError) as caught:
            use()
        assert caught.value.code == "CLO-CATALOG-001"
    assert home.catalog_path.read_bytes() == damage


def test_racing_changes_are_all_kept(home, tmp_path):
    threads = [
        threading.Thread(target=Catalog(home).add, args=(f"d{i}", tmp_path / str(i)))
        for i in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Catalog(home).list()) == 12
