"""Reads of catalogued data by a real kernel without hooks: the mark rises, outside."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
from cloister.sidecar.processes import activity, descendants
from cloister.store.catalog import Catalog
from cloister.store.home import Home, ensure_home
from cloister.store.lineage_reader import LineageReader

ROWS = "name,ssn\nMaria Lindqvist,219-09-9871\nJosé Alvarez,536-22-8713\n"
DEADLINE_S = 20
AT_REST_S = 1.0  # how often the sidecar looks whether its kernel sleeps


@pytest.fixture
def data(home: Path, tmp_path: Path) -> Path:
    """A catalogued dataset ``patients`` outside the workspace."""
    ensure_home(Home(home))
    path = tmp_path / "data" / "patients.csv"
    path.parent.mkdir()
    path.write_text(ROWS, "utf-8")
    Catalog(Home(home)).add("patients", path)
    return path


def state_of(home: Path, kernel) -> dict:
    return json.loads((home / "run" / kernel.manager.kernel_id / "state.json").read_text("utf-8"))


def level_after(home: Path, kernel, level: str) -> str:
    """Waits for a level; the next message or connection would see it, the file a moment later."""
    kernel.run("print('look')")
    deadline = time.monotonic() + DEADLINE_S
    while state_of(home, kernel)["level"] != level and time.monotonic() < deadline:
        time.sleep(0.05)
    return state_of(home, kernel)["level"]


def wait_until_at_rest(kernel) -> None:
    """Waits until nothing of a kernel has run for longer than the sidecar takes to notice."""
    walls = next(
        pid
        for pid in descendants(kernel.sidecar_pid)
        if Path(f"/proc/{pid}/comm").read_text("ascii").strip() == "bwrap"
    )
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        before = activity(walls)
        time.sleep(2 * AT_REST_S)
        if before is not None and activity(walls) == before:
            return
    raise AssertionError("the kernel does not come to rest")


def events(home: Path, kind: str) -> list[dict]:
    with LineageReader(Home(home)) as log:
        return [entry.body for entry in log.entries() if entry.type == kind]


#: Ways to read that no hook knows, each in a program or library of its own.
NATIVE = {
    "os.open": "import os; f = os.open(p, os.O_RDONLY); n = len(os.read(f, 99))",
    "cat": "import subprocess; n = len(subprocess.run(['cat', p], capture_output=True).stdout)",
    "mmap": (
        "import mmap, os; f = os.open(p, os.O_RDONLY);"
        " n = len(mmap.mmap(f, 0, prot=mmap.PROT_READ)[:])"
    ),
    "copy": "import shutil, os; shutil.copyfile(p, 'copy.bin'); n = os.stat('copy.bin').st_size",
    "splice": ("import os; f = os.open(p, os.O_RDONLY); r, w = os.pipe(); n = os.splice(f, w, 50)"),
    "copy_file_range": (
        "import os; f = os.open(p, os.O_RDONLY); g = os.open('range.bin', os.O_RDWR | os.O_CREAT);"
        " n = os.copy_file_range(f, g, 50)"
    ),
    "proc": (
        "import os; f = os.open(p, os.O_PATH); n = len(open(f'/proc/self/fd/{f}', 'rb').read())"
    ),
    "pyarrow": "from pyarrow import csv; n = csv.read_csv(p).num_rows",
    "arrow memory map": "import pyarrow as pa; n = pa.memory_map(p).size()",
    "polars": "import polars as pl; n = pl.scan_csv(p).collect().height",
    "duckdb": "import duckdb; n = len(duckdb.sql(f\"select * from '{p}'\").fetchall())",
    "numpy": "import numpy as np; n = np.memmap(p, mode='r').size",
}


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel that never loads a hook: what is seen of it is seen outside."""
    directory = tmp_path / "jupyter" / "kernels" / "bare"
    directory.mkdir(parents=True)
    provisioner = {"provisioner_name": "cloister-provisioner", "config": {}}
    spec = {
        "argv": [sys.executable, "-P", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "bare",
        "language": "python",
        "metadata": {"kernel_provisioner": provisioner},
    }
    (directory / "kernel.json").write_text(json.dumps(spec), "utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return "bare"


@pytest.fixture
def kernel(start_kernel, data, bare):
    kernel = start_kernel(bare)
    assert kernel.run("1").text == "1"
    return kernel


class TestReads:
    def test_a_kernel_that_has_read_nothing_is_public(self, kernel, home):
        assert state_of(home, kernel)["level"] == "public"
        assert state_of(home, kernel)["datasets"] == []

    def test_looking_at_names_and_sizes_is_no_read(self, kernel, home, data):
        kernel.run(f"import os; os.stat({str(data)!r}); os.listdir({str(data.parent)!r})")
        kernel.run("1")
        assert state_of(home, kernel)["level"] == "public"

    @pytest.mark.parametrize("way", NATIVE)
    def test_native_readers_are_seen(self, start_kernel, home, data, bare, way):
        for package in ("polars", "duckdb"):
            if way == package:
                pytest.importorskip(package)
        kernel = start_kernel(bare)
        result = kernel.run(f"p = {str(data)!r}\n{NATIVE[way]}\nprint(n > 0)")
        assert "True" in result.text, result.everything
        assert level_after(home, kernel, "restricted") == "restricted"
        assert state_of(home, kernel)["datasets"] == ["patients"]

    def test_the_rise_is_recorded_once_with_who_saw_it(self, kernel, home, data):
        kernel.run(f"import os; os.read(os.open({str(data)!r}, 0), 9)")
        kernel.run(f"import os; os.read(os.open({str(data)!r}, 0), 9)")
        assert level_after(home, kernel, "restricted") == "restricted"
        (rise,) = events(home, "kernel.level_raised")
        assert rise["level"] == "restricted"
        assert rise["before"] == "public"
        assert rise["dataset"] == "patients"
        assert rise["attested_by"] == "sidecar"

    def test_a_hard_link_in_the_workspace_is_the_same_file(
        self, start_kernel, home, data, workspace
    ):
        os.link(data, workspace / "other-name.bin")
        kernel = start_kernel()
        kernel.run("import os; os.read(os.open('other-name.bin', os.O_RDONLY), 9)")
        assert level_after(home, kernel, "restricted") == "restricted"

    def test_what_another_kernel_reads_is_not_an_idle_ones(
        self, kernel, start_kernel, home, data, bare
    ):
        other = start_kernel(bare)
        wait_until_at_rest(kernel)
        other.run(f"import os; os.read(os.open({str(data)!r}, 0), 9)")
        assert level_after(home, other, "restricted") == "restricted"
        kernel.run("print('look')")
        assert state_of(home, kernel)["level"] == "public"

    def test_a_restarted_kernel_begins_anew(self, kernel, home, data):
        kernel.run(f"import os; os.read(os.open({str(data)!r}, 0), 9)")
        assert level_after(home, kernel, "restricted") == "restricted"
        kernel.manager.restart_kernel()
        kernel.client.wait_for_ready(timeout=60)
        assert level_after(home, kernel, "public") == "public"


class TestDatasetInTheWorkspace:
    @pytest.fixture
    def inside(self, home, workspace) -> Path:
        ensure_home(Home(home))
        path = workspace / "people.csv"
        path.write_text(ROWS, "utf-8")
        Catalog(Home(home)).add("people", path)
        return path

    def test_a_kernel_cannot_move_it_away_or_replace_it(self, start_kernel, home, inside):
        kernel = start_kernel()
        kernel.run("open('new.csv', 'w').write('a,b\\n1,2\\n'); import os")
        assert "busy" in kernel.run("os.rename('new.csv', 'people.csv')").everything
        assert "busy" in kernel.run("os.rename('people.csv', 'holiday.bin')").everything

    def test_a_file_put_in_its_place_by_others_is_the_dataset(self, start_kernel, home, inside):
        kernel = start_kernel()
        assert kernel.run("1").text == "1"
        (inside.parent / "new.csv").write_text(ROWS, "utf-8")
        (inside.parent / "new.csv").replace(inside)
        kernel.run("import os; os.read(os.open('people.csv', os.O_RDONLY), 9)")
        assert level_after(home, kernel, "restricted") == "restricted"

    def test_a_link_to_it_is_the_dataset(self, start_kernel, home, inside):
        kernel = start_kernel()
        kernel.run("import os; os.symlink('people.csv', 's.bin'); os.link('people.csv', 'h.bin')")
        kernel.run("os.read(os.open('s.bin', os.O_RDONLY), 9)")
        assert level_after(home, kernel, "restricted") == "restricted"


POLICY = """
version: 1
high_water:
  confidential: {pictures: withhold}
limits:
  volume: [{dataset: patients, rows: 20, alert: 0.5}]
"""


def test_level_and_volume_decide_at_the_cell(start_kernel, home, data, bare):
    (home / "policy.yaml").write_text(POLICY, "utf-8")
    kernel = start_kernel(bare)
    gif = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    picture = (
        "import base64; from IPython.display import Image, display;"
        f" display(Image(data=base64.b64decode({gif!r}), format='gif'))"
    )
    kernel.run(f"import os; os.read(os.open({str(data)!r}, 0), 9)")
    assert "high_water.confidential.pictures" in kernel.run(picture).everything
    assert "CLO-VOLUME-001" in kernel.run("print('a\\n' * 12)").everything
    refused = kernel.run("print('b\\n' * 12)")
    assert "CLO-VOLUME-002" in refused.everything
    assert "b\nb" not in refused.text
    assert len(events(home, "volume.alert")) == len(events(home, "volume.blocked")) == 1


def test_two_kernels_of_one_user_share_a_day(start_kernel, home, data, bare):
    (home / "policy.yaml").write_text(POLICY, "utf-8")
    kernels = [start_kernel(bare) for _ in range(2)]
    for kernel in kernels:
        kernel.run(f"import os; os.read(os.open({str(data)!r}, 0), 9)")
    assert "CLO-VOLUME-001" in kernels[0].run("print('a\\n' * 12)").everything
    assert "CLO-VOLUME-002" in kernels[1].run("print('b\\n' * 12)").everything


class TestReplies:
    @pytest.fixture
    def reader(self, start_kernel, home, data, bare):
        """A kernel that has read the dataset, and may show little of it."""
        (home / "policy.yaml").write_text(
            "version: 1\nlimits: {volume: [{dataset: patients, cells: 12}]}\n", "utf-8"
        )
        kernel = start_kernel(bare)
        kernel.run(f"import os; os.read(os.open({str(data)!r}, 0), 9)")
        return kernel

    def test_expressions_count(self, reader):
        said = reader.run("1", user_expressions={"a": "'x ' * 5"}).reply["user_expressions"]
        assert said["a"]["status"] == "ok"
        refused = reader.run("2", user_expressions={str(n): "'y'" for n in range(20)}).reply
        assert "CLO-VOLUME-002" in str(refused)
        assert "'y'" not in str(refused)

    def test_completions_count_and_the_session_goes_on(self, reader):
        reader.run("names = {f'key_{i}': 1 for i in range(40)}")
        reader.client.complete("names['", 7)
        assert reader.client.get_shell_msg(timeout=30)["content"]["matches"] == []
        assert reader.run("x = 1").status == "ok"
