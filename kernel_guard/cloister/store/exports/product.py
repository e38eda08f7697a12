"""What other programs know Cloister by."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

VENDOR: Final = "Cloister"
NAME: Final = "Cloister"
URL: Final = "https://pypi.org/project/cloister/"


def product_version() -> str:
    """Returns the version that is installed."""
    try:
        return version("cloister")
    except PackageNotFoundError:  # run from source without an installation
        return "0"
