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
    """Guards a running server and adds the routes; see :mod:`cloister_lab.routes`.

    Jupyter goes on without an extension that fails. Without this one, files, terminals and kernels
    would be open, so the server ends.
    """
    try:
        from cloister_lab.routes import load_extension

        load_extension(serverapp)
    except Exception as error:
        raise SystemExit(
            f"CLO-LAB-008: Cloister could not guard this server ({type(error).__name__}), so it "
            "was stopped. Update Cloister and Jupyter together, or turn off the extension "
            "cloister_lab."
        ) from error
