"""Other clients' packages beside ours: an environment that sees this one and adds to it.

Extensions of JupyterLab take effect when they are installed, so they are kept apart from the
environment that all other tests run in.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import distributions
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_overlay(cache: Path, *packages: str) -> Path:
    """Installs packages from the registry and returns the interpreter that sees them and ours.

    Args:
        cache: Environments of earlier runs lie here; one with the same packages is used again.
        packages: What to install.
    """
    ours = sysconfig.get_paths()["purelib"]
    installed = sorted(f"{d.name} {d.version}" for d in distributions(path=[ours]))
    told = "\n".join([sys.version, sys.prefix, *packages, *installed])
    directory = cache / hashlib.sha256(told.encode()).hexdigest()[:16]
    python = directory / "bin" / "python"
    is_complete = directory / "complete"
    if is_complete.exists():
        return python
    venv.create(directory, with_pip=False, clear=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (directory / "lib" / version / "site-packages" / "ours.pth").write_text(
        f"import site; site.addsitedir({ours!r})\n"  # with the .pth files of an editable install
    )
    options = ["-q", "--no-compile", "--disable-pip-version-check", "--prefer-binary"]
    done = subprocess.run(
        [python, "-m", "pip", "install", *options, *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    is_complete.touch()
    return python


def overlay_variables() -> dict[str, str]:
    """Returns what makes Jupyter find our kernel spec, extensions and settings from there."""
    return {
        "JUPYTER_PATH": f"{sys.prefix}/share/jupyter",
        "JUPYTER_CONFIG_PATH": f"{sys.prefix}/etc/jupyter",
        "JUPYTERLAB_DIR": f"{sys.prefix}/share/jupyter/lab",
    }
