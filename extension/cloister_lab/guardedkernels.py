"""Starts guarded kernels only: what else a server finds is neither offered nor started.

Where a kernel comes from is decided by its kernel spec, so the guard stands before the manager of
kernel specs, whatever class an admin has chosen, and once more before the manager that starts them.
A kernel of another server (gateway) or one that somebody else started cannot be judged here, and
counts as not guarded.
"""

from __future__ import annotations

import inspect
import types
from typing import TYPE_CHECKING, Any, Final

from jupyter_client.kernelspec import NoSuchKernel
from tornado import web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_server.serverapp import ServerApp

GUARDED_KERNEL: Final = "cloister"
_PROVISIONER: Final = "cloister-provisioner"
_FORBIDDEN: Final = 403


class KernelNotOffered(web.HTTPError):
    """A kernel that this server does not start."""

    def __init__(self) -> None:
        super().__init__(
            _FORBIDDEN,
            "CLO-LAB-006: This server starts guarded kernels only, and this kernel is not one. "
            "Rule: server.unguarded_kernels. Choose the kernel Python 3 (Cloister), or give the "
            "kernel spec Cloister's provisioner.",
            reason="Kernel not offered by Cloister",
        )


class GuardedSpecs:
    """Stands before a class of kernel spec managers; see :func:`guard_kernels`."""

    def find_kernel_specs(self) -> dict[str, str]:
        """Returns the directories of guarded specs only."""
        found: dict[str, str] = super().find_kernel_specs()  # type: ignore[misc]
        return {name: place for name, place in found.items() if self._is_guarded(name)}

    def get_all_specs(self) -> Any:
        """Returns guarded specs only."""
        specs = super().get_all_specs()  # type: ignore[misc]
        if not inspect.isawaitable(specs):
            return _guarded_only(specs)

        async def later() -> dict[str, Any]:
            return _guarded_only(await specs)

        return later()

    def get_kernel_spec(self, kernel_name: str, **kwargs: Any) -> Any:
        """Returns a guarded spec.

        Raises:
            NoSuchKernel: There is none of this name, or it is not guarded.
        """
        spec = super().get_kernel_spec(kernel_name, **kwargs)  # type: ignore[misc]
        if inspect.isawaitable(spec) or not is_guarded(spec.metadata):
            if inspect.iscoroutine(spec):
                spec.close()  # of another server: see the module's docstring
            raise NoSuchKernel(kernel_name)
        return spec

    def _is_guarded(self, name: str) -> bool:
        try:
            self.get_kernel_spec(name)
        except (NoSuchKernel, OSError, ValueError):
            return False
        return True


class GuardedStarts:
    """Stands before a class of kernel managers; see :func:`guard_kernels`."""

    def start_kernel(self, *, kernel_name: str | None = None, **kwargs: Any) -> Any:
        """Starts a guarded kernel.

        Raises:
            KernelNotOffered: It is another one.
        """
        name = kernel_name or self.default_kernel_name  # type: ignore[attr-defined]
        try:
            self.kernel_spec_manager.get_kernel_spec(name)  # type: ignore[attr-defined]
        except NoSuchKernel:
            raise KernelNotOffered from None
        return super().start_kernel(kernel_name=name, **kwargs)  # type: ignore[misc]


def is_guarded(metadata: Mapping[str, Any]) -> bool:
    """Returns whether a kernel spec with this metadata starts its kernel through the guard."""
    provisioner = metadata.get("kernel_provisioner")
    return isinstance(provisioner, dict) and provisioner.get("provisioner_name") == _PROVISIONER


def guard_kernels(serverapp: ServerApp) -> None:
    """Makes a server offer and start guarded kernels only.

    Raises:
        TypeError: Its managers cannot be given another class.
    """
    specs, kernels = serverapp.kernel_spec_manager, serverapp.kernel_manager
    for manager, guard in ((specs, GuardedSpecs), (kernels, GuardedStarts)):
        kind = type(manager)
        if not isinstance(manager, guard):
            manager.__class__ = types.new_class(f"Guarded{kind.__name__}", (guard, kind))
    if kernels.kernel_spec_manager is not specs:
        kernels.kernel_spec_manager = specs
    if not specs._is_guarded(kernels.default_kernel_name):  # noqa: SLF001 - own class
        kernels.default_kernel_name = GUARDED_KERNEL
    # Connection files that appear in a directory are kernels that somebody else has started.
    kernels.external_connection_dir = None


def _guarded_only(specs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: found
        for name, found in specs.items()
        if is_guarded(found.get("spec", {}).get("metadata", {}))
    }
