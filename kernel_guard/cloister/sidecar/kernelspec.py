"""The kernel spec ``cloister``: what clients list as "Python 3 (Cloister)"."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

NAME = "cloister"
_LOGO = Path(__file__).with_name("logo")


def kernel_json(executable: str = sys.executable) -> dict[str, Any]:
    """Returns the content of ``kernel.json`` for a Python interpreter."""
    return {
        # -P: a directory called "cloister" in the workspace must not stand in for the package.
        "argv": [executable, "-P", "-m", "cloister.hooks", "-f", "{connection_file}"],
        "display_name": "Python 3 (Cloister)",
        "language": "python",
        "interrupt_mode": "signal",
        "metadata": {
            "debugger": True,
            "kernel_provisioner": {"provisioner_name": "cloister-provisioner", "config": {}},
        },
    }


def install(prefix: str | None = None, *, user: bool = False) -> Path:
    """Installs the kernel spec and returns its directory.

    Args:
        prefix: Installation prefix; this environment's when left out.
        user: Install for the user's account instead.
    """
    from jupyter_client.kernelspec import KernelSpecManager

    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / NAME
        shutil.copytree(_LOGO, source)
        source.chmod(0o755)
        (source / "kernel.json").write_text(json.dumps(kernel_json(), indent=1) + "\n", "utf-8")
        where = {"user": True} if user else {"prefix": prefix or sys.prefix}
        return Path(KernelSpecManager().install_kernel_spec(str(source), NAME, **where))


def main() -> None:
    """Installs from the command line: ``python -m cloister.sidecar.kernelspec``."""
    parser = argparse.ArgumentParser(description="Install the kernel spec 'cloister'.")
    parser.add_argument("--user", action="store_true", help="for this account")
    parser.add_argument("--sys-prefix", action="store_true", help="for this environment (default)")
    arguments = parser.parse_args()
    print(install(user=arguments.user))  # noqa: T201 - a command line prints


if __name__ == "__main__":
    main()
