"""Carries out every attack of the table in the documents, and compares who notices it."""

import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from cloister.cli.main import run
from cloister.store.checkpoint import parse_checkpoint
from cloister.store.evidence.witnessing import Witnessing
from cloister.store.merkle import Frontier, leaf_hash
from provenlog import Workspace, columns, cosigned_by, kept_in

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "what-the-record-proves.md"
COLUMNS = ("database", "home", "file", "cosigner", "kept")


def table() -> dict[str, dict[str, bool]]:
    """The table of the page: for each attack, whether each column notices it."""
    section = PAGE.read_text("utf-8").partition("## Who notices what")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z-]+)`: .+? \| (.+) \|$", section, re.MULTILINE)
    assert all(cell in {"seen", "no"} for _, cells in rows for cell in cells.split(" | "))
    return {
        name: {
            column: cell == "seen" for column, cell in zip(COLUMNS, cells.split(" | "), strict=True)
        }
        for name, cells in rows
    }


class Scene:
    """A workspace of eight events with every kind of witness, and older copies of it."""

    def __init__(self, root: Path, listening: str, cosigner, cosigner_dir: Path) -> None:
        self.root = root
        self.cosigner_dir = cosigner_dir
        self.workspace = Workspace(root / "home")
        self.share = root / "share"
        self.kept = root / "kept.note"
        self.key = root / "lineage.pub"
        self.key.write_text(self.workspace.key_line + "\n")
        self.cosigner = cosigner
        self.rules = {
            "file": kept_in(self.share),
            "cosigner": cosigned_by(listening, cosigner.verifier_line),
        }
        cosigner.trust(self.workspace.verifier)
        self.workspace.record(4)
        self.push()
        shutil.copytree(self.home.root, root / "older")
        self.workspace.record(2, first=4)
        self.kept.write_text(self.workspace.checkpoint())
        self.workspace.record(2, first=6)
        self.push()

    @property
    def home(self):
        return self.workspace.home

    def push(self) -> None:
        for rules in self.rules.values():
            assert self.ask(rules)

    def ask(self, rules) -> bool:
        """Whether the witnesses of these rules have nothing to object to."""
        now = Workspace(self.home.root)
        found = Witnessing(now.home, now.keyring, lambda: rules).round(is_forced=True)
        return all(standing.is_good and not standing.missing for standing in found)

    def sql(self, *statements: str) -> None:
        with sqlite3.connect(self.home.lineage_path, isolation_level=None) as database:
            for statement in statements:
                database.execute(statement)
        database.close()

    def forged(self) -> Workspace:
        """Another history of nine events, signed with the workspace's own key."""
        twin = self.root / "twin"
        shutil.copytree(self.home.root, twin)
        for path in [*twin.glob("store/lineage.db*"), twin / "witness" / "checkpoint"]:
            path.unlink()
        workspace = Workspace(twin)
        workspace.record(9, first=100)
        return workspace

    def put(self, source: Workspace | Path, *, with_witness: bool) -> None:
        """Puts another database in place, and another witness where that is part of it."""
        root = source.home.root if isinstance(source, Workspace) else source
        for path in self.home.lineage_path.parent.glob("lineage.db*"):
            path.unlink()
        shutil.copy(root / "store" / "lineage.db", self.home.lineage_path)
        if with_witness:
            shutil.copy(root / "witness" / "checkpoint", self.home.witness_path)
            shutil.rmtree(self.workspace.memories.directory)

    def noticed(self) -> dict[str, bool]:
        """Who notices, by the commands that each of them would run."""
        verify = ["lineage", "verify"]
        # The witnesses first: verifying changes nothing.
        return {
            "cosigner": not self.ask(self.rules["cosigner"]),
            "database": run([*verify, str(self.home.lineage_path), "--key", str(self.key)]) != 0,
            "home": run(verify) != 0,
            "file": run([*verify, "--against", str(self.share)]) != 0,
            "kept": run([*verify, "--against", str(self.kept)]) != 0,
        }


def flip(scene: Scene) -> None:
    scene.sql("UPDATE event SET header = CAST(replace(header,'ann','bob') AS BLOB) WHERE seq = 2")


def drop(scene: Scene) -> None:
    scene.sql("DELETE FROM event WHERE seq = 2")


def reorder(scene: Scene) -> None:
    scene.sql(
        "UPDATE event SET seq = -1 WHERE seq = 2",
        "UPDATE event SET seq = 2 WHERE seq = 3",
        "UPDATE event SET seq = 3 WHERE seq = -1",
    )


def insert(scene: Scene) -> None:
    scene.sql(
        "INSERT INTO event SELECT 8, time_us, type, execution_id, header, payload, nodes"
        " FROM event WHERE seq = 7"
    )


def truncate(scene: Scene) -> None:
    """The best that can be done without the key: everything unsigned is made to fit."""
    note = (scene.root / "older" / "witness" / "checkpoint").read_text()
    older = parse_checkpoint(note)
    with sqlite3.connect(scene.home.lineage_path) as database:
        frontier, leaf = Frontier.empty(), None
        rows = database.execute(
            "SELECT header FROM event WHERE seq < ? ORDER BY seq", (older.size,)
        )
        for (header,) in rows:
            leaf = leaf_hash(header)
            frontier.append(leaf)
        for table, column in columns(database):
            if column == "seq":
                database.execute(f"DELETE FROM {table} WHERE seq >= ?", (older.size,))
        database.execute(
            "UPDATE head SET size = ?, frontier = ?, last_leaf = ?, note = ?",
            (older.size, frontier.serialize(), leaf, note),
        )
    database.close()


def restore_database(scene: Scene) -> None:
    scene.put(scene.root / "older", with_witness=False)


def restore_home(scene: Scene) -> None:
    shutil.rmtree(scene.home.root)
    shutil.copytree(scene.root / "older", scene.home.root)


def replace(scene: Scene) -> None:
    shutil.rmtree(scene.home.root)
    Workspace(scene.home.root).record(8, first=200)


def forge(scene: Scene) -> None:
    scene.put(scene.forged(), with_witness=False)


def forge_home(scene: Scene) -> None:
    scene.put(scene.forged(), with_witness=True)


def forge_file(scene: Scene) -> None:
    forged = scene.forged()
    scene.put(forged, with_witness=True)
    scene.share.write_text(forged.checkpoint())


def forge_cosigner(scene: Scene) -> None:
    forge_file(scene)
    checkpoint = parse_checkpoint(scene.workspace.checkpoint())
    with sqlite3.connect(scene.cosigner_dir / "state.db") as database:
        database.execute(
            "UPDATE log SET size = ?, root = ?, note = ?",
            (checkpoint.size, checkpoint.root, scene.workspace.checkpoint()),
        )
    database.close()


ATTACKS = {
    attack.__name__.replace("_", "-"): attack
    for attack in (
        flip, drop, reorder, insert, truncate, restore_database, restore_home, replace,
        forge, forge_home, forge_file, forge_cosigner,
    )
}  # fmt: skip


@pytest.fixture
def scene(tmp_path, monkeypatch, listening, cosigner):
    made = Scene(tmp_path, listening, cosigner, tmp_path / "w1")
    monkeypatch.setenv("CLOISTER_HOME", str(made.home.root))
    return made


def test_the_table_has_every_attack_and_no_other():
    assert table().keys() == ATTACKS.keys()


def test_nothing_is_noticed_where_nothing_was_done(scene):
    assert not any(scene.noticed().values())


@pytest.mark.parametrize("name", table())
def test_who_notices(scene, name):
    ATTACKS[name](scene)
    assert scene.noticed() == table()[name]


def test_the_file_that_the_policy_names_is_looked_at_without_being_asked_for(scene, capsys):
    scene.home.policy_path.write_text(
        f"version: 1\nrecord: {{witnesses: [{{name: share, file: {scene.share}}}]}}\n"
    )
    assert run(["lineage", "verify"]) == 0
    forge_home(scene)
    assert run(["lineage", "verify"]) == 1
    assert "differ from a checkpoint that was kept" in capsys.readouterr().out
