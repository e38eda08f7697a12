"""Guarded kernels whose keys a provider holds, while those are rotated and payloads erased."""

from __future__ import annotations

from cloister.core.retention import parse_subject
from cloister.store.entry import PayloadState
from cloister.store.erasure import BY_SUBJECT, erase, plan_erasure
from cloister.store.erasure_reader import ErasureReader
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_verify import verify_home
from cloister.store.rotation import Rotation

ACTOR = {"user": "admin", "attested_by": "cli"}


def test_kernels_go_on_through_rotations_and_erasures(start_kernel, home, tmp_path):
    place = ensure_home(Home(home.resolve()))
    secret = tmp_path / "phrase"
    secret.write_text("correct horse")
    secret.chmod(0o600)
    settings = f"provider: local\npassphrase_file: {secret}\n".encode()
    Rotation(place, ACTOR).run(settings=settings)

    first, second = start_kernel(), start_kernel()
    for kernel in (first, second):
        assert kernel.run("1 + 1").text == "2"
        look = kernel.run(
            f"import os; os.path.exists({str(secret)!r}), os.path.exists({str(home)!r})"
        )
        assert look.text == "(False, False)", "no kernel sees a passphrase or a key file"
    for turn in range(3):
        Rotation(place, ACTOR).run(signing=turn == 1)
        for kernel in (first, second):
            assert kernel.run(f"'turn', {turn}").text == f"('turn', {turn})"

    with LineageReader(place, open_keyring(place)) as reader:
        rows = reader.executions(1000)
        one = next(row for row in rows if row["execution_count"] == 1)
        assert all(e.payload_state is PayloadState.OPEN for e in reader.get(one["id"]))
    with ErasureReader(place) as reader:
        among = reader.reached(parse_subject(f"kernel:{one['kernel_id']}"))
        plan = plan_erasure(reader, _no_rules(place), 2**60, BY_SUBJECT, among=among)
    with LineageLog(place, open_keyring(place)) as log:
        erase(log, plan, ACTOR)
    for kernel in (first, second):
        assert kernel.run("'after'").text == "'after'"
    with LineageReader(place, open_keyring(place)) as reader:
        for row in rows:
            states = {entry.payload_state for entry in reader.get(row["id"])}
            erased = row["kernel_id"] == one["kernel_id"]
            assert states == {PayloadState.ERASED if erased else PayloadState.OPEN}
    report = verify_home(place, open_keyring(place))
    assert report.ok, report.problems


def _no_rules(place):
    from cloister.store.policy import load_policy

    return load_policy(place).retention
