"""Other clients' packages beside ours: an environment that sees this one and adds to it.

Extensions of JupyterLab take effect when they are installed, so they are kept apart from the
environment that all other tests run in.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_overlay(directory: Path, *packages: str) -> Path:
    """Installs packages from the registry and returns the interpreter that sees them and ours."""
    venv.create(directory, with_pip=False)
    python = directory / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    ours = sysconfig.get_paths()["purelib"]
    (directory / "lib" / version / "site-packages" / "ours.pth").write_text(
        f"import site; site.addsitedir({ours!r})\n"  # with the .pth files of an editable install
    )
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return python


def overlay_variables() -> dict[str, str]:
    """Returns what makes Jupyter find our kernel spec, extensions and settings from there."""
    return {
        "JUPYTER_PATH": f"{sys.prefix}/share/jupyter",
        "JUPYTER_CONFIG_PATH": f"{sys.prefix}/etc/jupyter",
        "JUPYTERLAB_DIR": f"{sys.prefix}/share/jupyter/lab",
    }
