"""No language servers: programs that run outside all walls, with the rights of the server.

JupyterLab's extension for them looks for programs when the server starts. It takes modules from
``node_modules`` of the directory that the server was started in, and asks R whether it has a
package; R reads its start-up file there. A kernel can write both. And what a language server tells
about a file, no gate has seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError
from jupyter_server.utils import url_path_join
from traitlets.config import Config

from cloister_lab.refusing import RefusingHandler

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

#: Which there are is still answered: none. Every JupyterLab asks when it starts.
_CONNECTIONS: Final = r"/lsp/ws/.*"
_REFUSAL: Final = CloisterError(
    "This server has no language servers: they would run outside the kernel's walls.",
    code="CLO-LAB-011",
    rule="server.language_servers",
    remedy="Completion and inspection of a guarded kernel work without them.",
)


def close_language_servers(serverapp: ServerApp) -> None:
    """Keeps a server from looking for language servers and from starting any.

    Jupyter's extension for them is loaded later, by its name, and looks at the settings; the
    handlers answer whatever else would serve these addresses.
    """
    none = Config({"LanguageServerManager": {"autodetect": False}})
    serverapp.config.LanguageServerManager.pop("language_servers", None)
    serverapp.update_config(none)
    base_url = serverapp.web_app.settings["base_url"]
    serverapp.web_app.add_handlers(
        ".*$",
        [(url_path_join(base_url, _CONNECTIONS), RefusingHandler, {"refusal": _REFUSAL})],
    )
