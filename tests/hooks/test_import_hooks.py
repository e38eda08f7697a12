"""Libraries are patched when the user imports them, and imports behave as they always do."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
from cloister.hooks import imports


@pytest.fixture
def watch(tmp_path, monkeypatch, request):
    monkeypatch.syspath_prepend(str(tmp_path))
    seen: list[str] = []
    name = "clo_" + request.node.name.replace("[", "_").replace("]", "")[:40]
    imports.when_imported(name, lambda module: seen.append(module.__name__))
    yield name, tmp_path / f"{name}.py", seen
    imports._watched.pop(name, None)
    imports._failed.discard(name)
    sys.modules.pop(name, None)


def test_runs_after_the_import_and_again_after_a_reload(watch):
    name, file, seen = watch
    file.write_text("x = 1\n")
    assert seen == []
    module = importlib.import_module(name)
    assert seen == [name]
    assert type(module.__spec__.loader).__name__ == "SourceFileLoader"
    importlib.reload(module)
    assert seen == [name, name]


def test_a_failing_import_stays_the_users_error_and_can_be_tried_again(watch):
    name, file, seen = watch
    file.write_text("raise ValueError('user')\n")
    with pytest.raises(ValueError, match="user"):
        importlib.import_module(name)
    assert seen == []
    assert name not in sys.modules
    file.write_text("x = 22\n")
    importlib.invalidate_caches()
    importlib.import_module(name)
    assert seen == [name]


def test_a_missing_module_is_missing(watch):
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(watch[0])


def test_a_failing_hook_is_said_once_and_the_import_succeeds(watch, capsys):
    name, file, _ = watch
    file.write_text("x = 1\n")
    imports.when_imported(name, lambda _: 1 / 0)
    module = importlib.import_module(name)
    importlib.reload(module)
    assert module.x == 1
    assert name in imports.failures()
    assert capsys.readouterr().err.count("could not be installed") == 1


def test_nothing_heavy_is_imported_at_start():
    code = (
        "import sys; from cloister.hooks.install import install_all; assert install_all() == [];"
        "heavy = ('pandas', 'numpy', 'polars', 'pyarrow', 're2', 'cloister.detect.columns');"
        "print([m for m in heavy if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_importing_cloister_imports_no_hooks():
    code = "import sys, cloister; print([m for m in sys.modules if m.startswith('cloister.')])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_a_hook_that_cannot_be_installed_does_not_stop_the_rest(tmp_path):
    code = (
        "import os\n"
        "os.environ['CLOISTER_EGRESS'] = '/x'\n"
        "os.environ['CLOISTER_PROXY_PORT'] = 'no'\n"
        "from cloister.hooks.install import install_all\n"
        "print(install_all())"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "['egress relay']"
    assert shown.stderr.count("egress relay") == 1
