"""What hatch-jupyter-builder calls before it packs a wheel or a source archive.

The stock ``npm_builder`` either builds each time or skips whenever an old build lies around; and in
an editable installation it would need Node before JupyterLab's tools are there. ``develop.sh``
builds exactly when a source is newer than the result.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

_SCRIPT = Path(__file__).resolve().parent / "develop.sh"


def build_frontend(target_name: str, version: str) -> None:  # noqa: ARG001 - the hook's signature
    """Builds the front end for a standard wheel or source archive if it is out of date.

    Args:
        target_name: ``wheel`` or ``sdist``.
        version: ``standard`` or ``editable``; an editable installation runs ``develop.sh`` itself.

    Raises:
        CalledProcessError: The build failed; its output says why.
    """
    if version == "standard":
        subprocess.run(["bash", str(_SCRIPT), "--build-only"], check=True)  # noqa: S607 - any bash
