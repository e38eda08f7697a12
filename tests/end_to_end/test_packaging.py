"""The wheel holds what it must, and each part runs where only its own extra is installed."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib import import_module
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "cloister": ROOT / "kernel_guard" / "cloister",
    "cloister_dp": ROOT / "dp" / "cloister_dp",
    "cloister_lab": ROOT / "extension" / "cloister_lab",
}
CORPUS = Path("tests", "leaks", "corpus")
BUILT = ROOT / "extension" / "cloister_lab" / "labextension"
SERVER_CONFIG = "etc/jupyter/jupyter_server_config.d/cloister_lab.json"
PAGE_CONFIG = "etc/jupyter/labconfig/page_config.d/cloister_lab.json"
NOT_SOURCES = (
    ".git",
    ".venv",
    "node_modules",
    "__pycache__",
    ".*_cache",
    "notebooks",
    "dist",
    "tests",
)

needs_frontend = pytest.mark.skipif(
    not (BUILT / "package.json").is_file(), reason="the front end is not built: make setup"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the wheel without the network, from a copy: a build writes into its source tree."""
    source = tmp_path_factory.mktemp("source") / "cloister"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NOT_SOURCES), symlinks=True)
    shutil.copytree(ROOT / CORPUS, source / CORPUS)
    # As in an unpacked source archive: what is built is not older than what it is built from.
    (source / BUILT.relative_to(ROOT) / "package.json").touch()
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps"]
    done = subprocess.run(
        [*command, "--no-index", "-q", "-w", str(target), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def _source_files(package: str, directory: Path) -> set[str]:
    """Every file of a package as the wheel should name it."""
    found = set()
    for path in directory.rglob("*"):
        inside = path.relative_to(directory)
        if path.is_file() and not {"__pycache__", "labextension"} & set(inside.parts):
            found.add(str(PurePosixPath(package, *inside.parts)))
    return found


@needs_frontend
@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_holds_every_file_of_the_package(names: set[str], package: str) -> None:
    wanted = _source_files(package, PACKAGES[package])
    assert {f"{package}/__init__.py", f"{package}/py.typed"} <= wanted
    assert wanted - names == set()


@needs_frontend
def test_the_wheel_holds_the_data_files_that_code_reads(names: set[str]) -> None:
    assert {"cloister/core/policy.schema.json", "cloister/core/default_policy.yaml"} <= names


@needs_frontend
def test_the_wheel_holds_the_leak_corpus(names: set[str]) -> None:
    wanted = {f"cloister/cli/drill/corpus/{path.name}" for path in (ROOT / CORPUS).iterdir()}
    assert wanted
    assert wanted - names == set()


@needs_frontend
def test_the_wheel_holds_nothing_else(names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    metadata = {top for top in tops if top.endswith((".dist-info", ".data"))}
    assert tops - metadata == set(PACKAGES)
    assert not [name for name in names if "/tests/" in name or "node_modules" in name]


@needs_frontend
def test_the_wheel_enables_the_extensions_by_being_installed(names: set[str]) -> None:
    shared = {name.partition(".data/data/")[2] for name in names if ".data/data/" in name}
    assert {SERVER_CONFIG, PAGE_CONFIG} <= shared
    assert "share/jupyter/labextensions/@cloister/lab/package.json" in shared
    assert any(name.endswith(".js") and "@cloister/lab/static/" in name for name in shared)


@needs_frontend
def test_every_entry_point_leads_somewhere(wheel: Path, names: set[str]) -> None:
    (path,) = (name for name in names if name.endswith("/entry_points.txt"))
    parser = configparser.ConfigParser()
    with zipfile.ZipFile(wheel) as archive:
        parser.read_string(archive.read(path).decode())
    assert set(parser["console_scripts"]) == {"cloister", "jupyter-cloister"}
    assert "cloister-provisioner" in parser["jupyter_client.kernel_provisioners"]
    for section in parser.sections():
        for target in parser[section].values():
            module, _, attribute = target.partition(":")
            assert hasattr(import_module(module), attribute), target


# Each part in an environment without the others ---------------------------------------------------

# Imports every module below some packages while others cannot be imported, whether they are
# installed or not. Prints what failed.
IMPORT_EVERYTHING = """
import importlib, pkgutil, sys

packages, blocked = sys.argv[1].split(","), set(sys.argv[2].split(","))

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
failed, count = [], 0
for package in packages:
    root = importlib.import_module(package)
    found = pkgutil.walk_packages(getattr(root, "__path__", []), package + ".")
    for name in [package, *(module.name for module in found)]:
        count += 1
        try:
            importlib.import_module(name)
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}: {error}")
print("\\n".join(failed) or f"{count} modules imported")
sys.exit(bool(failed))
"""

ROOMS = "cloister.core,cloister.detect,cloister.store"
HEAVY_DP = "torch,opacus,mlflow,diffprivlib,dp_accounting,opendp,sklearn"
POSTGRES = "sqlalchemy,alembic,psycopg"
SERVER = "jupyter_server,jupyterlab,jupyterlab_server,notebook"

PARTS = {
    # extra: what must be importable, what must not be needed
    "base": (
        "cloister.core,cloister.store,cloister.cli",
        f"{SERVER},{HEAVY_DP},{POSTGRES},pandas,polars,h11",
    ),
    "kernel": ("cloister", f"{SERVER},{HEAVY_DP}"),
    "lab": (f"cloister_lab,{ROOMS},cloister.sidecar", f"{HEAVY_DP},pandas,polars"),
    "dp": ("cloister_dp", f"{SERVER},polars"),
    "postgres": ("cloister.core,cloister.store,cloister.cli", f"{SERVER},{HEAVY_DP},pandas"),
}


def _import_everything(
    python: str | Path, packages: str, blocked: str
) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [python, "-I", "-c", IMPORT_EVERYTHING, packages, blocked],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_without_what_belongs_to_others(part: str) -> None:
    packages, blocked = PARTS[part]
    done = _import_everything(sys.executable, packages, blocked)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_import_blocker_blocks() -> None:
    done = _import_everything(sys.executable, "cloister_lab", "jupyter_server")
    assert done.returncode == 1
    assert "No module named 'jupyter_server" in done.stdout + done.stderr


#: Extras that people install together, and what must not come with them.
INSTALLED = {
    "kernel": ["jupyter_server", "torch", "sqlalchemy"],
    "lab,postgres": ["torch", "opacus", "pandas"],
}


@needs_frontend
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("extras", INSTALLED)
def test_the_wheel_runs_in_a_clean_environment(wheel: Path, tmp_path: Path, extras: str) -> None:
    """Installs the wheel and its extras from the registry into an environment of its own."""
    venv.create(tmp_path / "clean", with_pip=False)
    python = tmp_path / "clean" / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile"]
    done = subprocess.run(
        [*command, f"{wheel}[{extras}]"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for extra in extras.split(","):
        done = _import_everything(python, PARTS[extra][0], "nothing")
        assert done.returncode == 0, done.stdout + done.stderr
    needed = POSTGRES.split(",") if "postgres" in extras else []
    for name in needed:
        assert subprocess.run([python, "-c", f"import {name}"], check=False).returncode == 0, name
    for name in INSTALLED[extras]:
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{name}') is None)"
        assert subprocess.run([python, "-c", code], check=False).returncode == 1, name
    said = subprocess.run(
        [python.with_name("cloister"), "--help"], capture_output=True, check=False
    )
    assert said.returncode == 0
