"""No terminals: they run outside all walls, and what they show passes no gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError
from jupyter_server.utils import url_path_join

from cloister_lab.refusing import RefusingHandler

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

_ADDRESSES: Final = (r"/api/terminals.*", r"/terminals/.*")
_REFUSAL: Final = CloisterError(
    "This server has no terminals: they would show data that no gate has seen.",
    code="CLO-LAB-007",
    rule="server.terminals",
    remedy="Use a guarded notebook or console; !command runs programs there.",
)


def close_terminals(serverapp: ServerApp) -> None:
    """Turns a server's terminals off.

    Jupyter's own extension for terminals is loaded later, by its name, and asks the setting; the
    handlers answer whatever else would serve these addresses.
    """
    serverapp.terminals_enabled = False
    serverapp.web_app.settings["terminals_available"] = False
    base_url = serverapp.web_app.settings["base_url"]
    serverapp.web_app.add_handlers(
        ".*$",
        [
            (url_path_join(base_url, address), RefusingHandler, {"refusal": _REFUSAL})
            for address in _ADDRESSES
        ],
    )
