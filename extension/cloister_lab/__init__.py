"""The Cloister control plane in Jupyter Server.

Jupyter calls the functions below by name; nothing is imported before it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Tells JupyterLab where the built front end is and under which name to link it."""
    return [{"src": "labextension", "dest": "@cloister/lab"}]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Tells Jupyter Server which module to load."""
    return [{"module": "cloister_lab"}]


def _load_jupyter_server_extension(serverapp: ServerApp) -> None:
    """Adds the routes to a running server; see :mod:`cloister_lab.routes`."""
    from cloister_lab.routes import load_extension

    load_extension(serverapp)
