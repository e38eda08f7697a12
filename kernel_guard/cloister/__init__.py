"""Cloister: a JupyterLab that you can let near real data."""

from __future__ import annotations

from cloister.core.errors import CloisterError

__version__ = "0.1.0"
__all__ = ["CloisterError"]
