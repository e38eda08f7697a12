"""No byte of the record can change unseen: every column of every table, and every file of it."""

import shutil
import sqlite3
from contextlib import suppress

import pytest
from cloister.store.checkpoint import CheckpointError, verify_checkpoint
from cloister.store.evidence.journal import read_kept
from cloister.store.lineage_verify import verify_home, verify_log
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provenlog import Workspace, columns

THOROUGH = settings(
    max_examples=400,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A record with a kept checkpoint in it, closed, and a copy of its database."""
    root = tmp_path_factory.mktemp("whole")
    workspace = Workspace(root / "home")
    workspace.record(258)  # a checkpoint stays in the database at 256
    workspace.erase(first=3, last=9)
    workspace.record(1)
    pristine = root / "pristine.db"
    with sqlite3.connect(workspace.home.lineage_path) as source, sqlite3.connect(pristine) as copy:
        source.backup(copy)
    copy.close()
    source.close()
    return workspace, pristine


def changed(value, data):
    """The value with one bit flipped, of the type that it had, and whether that is text."""
    if value is None:
        return data.draw(st.sampled_from([0, "x", b"x"]), "in place of nothing"), False
    if isinstance(value, int):
        return value ^ (1 << data.draw(st.integers(0, 40), "bit")), False
    content = bytearray(value.encode() if isinstance(value, str) else value)
    if not content:
        return None, False
    content[data.draw(st.integers(0, len(content) - 1), "byte")] ^= 1 << data.draw(
        st.integers(0, 7), "bit"
    )
    return bytes(content), isinstance(value, str)


@THOROUGH
@given(st.data())
def test_a_flipped_bit_in_any_column_is_seen(whole, data):
    workspace, pristine = whole
    path = workspace.home.lineage_path
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    shutil.copy(pristine, path)
    database = sqlite3.connect(path, isolation_level=None)
    table, column = data.draw(st.sampled_from(columns(database)), "column")
    names = [name for place, name in columns(database) if place == table]
    (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    row = data.draw(st.integers(0, count - 1), "row")
    values = database.execute(
        f"SELECT {', '.join(names)} FROM {table} LIMIT 1 OFFSET ?", (row,)
    ).fetchone()
    new, is_text = changed(values[names.index(column)], data)
    expression = "CAST(? AS TEXT)" if is_text else "?"
    this_row = " AND ".join(f"{name} IS ?" for name in names)
    try:
        database.execute(
            f"UPDATE {table} SET {column} = {expression} WHERE {this_row}", (new, *values)
        )
    except sqlite3.IntegrityError:
        database.close()
        return  # the schema itself refuses it
    database.close()
    report = verify_home(workspace.home, workspace.keyring)
    assert not report.ok, (table, column, row)


def test_the_record_is_whole_as_it_was_written(whole):
    workspace, pristine = whole
    assert verify_log(pristine, workspace.verifier, workspace.home.witness_path).ok


def test_every_flipped_bit_of_a_checkpoint_is_seen(whole):
    workspace, _ = whole
    note = workspace.checkpoint().encode()
    unseen = []
    for place in range(len(note)):
        for bit in range(8):
            changed = bytearray(note)
            changed[place] ^= 1 << bit
            with suppress(CheckpointError, UnicodeDecodeError):
                unseen.append(verify_checkpoint(changed.decode(), workspace.verifier))
    assert unseen == []


def test_a_damaged_witness_is_a_problem_of_the_record(whole, tmp_path):
    workspace, pristine = whole
    witness = tmp_path / "witness"
    witness.write_text(workspace.checkpoint().replace("260", "261"))
    assert not verify_log(pristine, workspace.verifier, witness).ok
    with pytest.raises(CheckpointError):
        read_kept(witness, workspace.verifier)
