"""``python -m cloister.hooks -f CONNECTION_FILE``: installs the hooks, then runs ipykernel."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Starts the kernel; takes ipykernel's arguments."""
    # As ipykernel's launcher does: a file in the workspace must not stand in for a library while
    # the kernel is loaded. IPython puts the directory back for the user's own imports.
    if sys.path and (sys.path[0] == "" or Path(sys.path[0]) == Path.cwd()):
        del sys.path[0]

    from cloister.hooks.install import install_all

    install_all()

    from cloister.hooks.kernel import launch

    launch()


if __name__ == "__main__":
    main()
