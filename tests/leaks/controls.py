"""The controls that hold the cases, each with a switch that only tests can reach.

A control is switched off in the process that makes it: walls in the process that starts the kernel,
scanning in the sidecar, which then runs :mod:`weakened` in the place of ``cloister.sidecar``.
Nothing that is shipped knows these switches.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from cloister.cli.drill.ground import Ground

WEAKENED = Path(__file__).with_name("weakened.py")


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
        what: In words.
        cases: Which leak when it is off.
        switch: Switches it off for kernels that start from then on.
        needs_root: Whether only root's kernels need it.
    """

    what: str
    cases: tuple[str, ...]
    switch: Callable[[pytest.MonkeyPatch, Ground], None]
    needs_root: bool = False


def in_sidecar(name: str) -> Callable[[pytest.MonkeyPatch, Ground], None]:
    """Starts sidecars through :mod:`weakened`, which switches ``name`` off."""

    def switch(patch: pytest.MonkeyPatch, _ground: Ground) -> None:
        from cloister.sidecar.provisioner import CloisterProvisioner

        ready = CloisterProvisioner.pre_launch

        async def pre_launch(self: Any, **kwargs: Any) -> dict[str, Any]:
            launch = await ready(self, **kwargs)
            spec_file = launch["cmd"][-1]
            launch["cmd"] = [sys.executable, "-P", str(WEAKENED), name, spec_file]
            return launch

        patch.setattr(CloisterProvisioner, "pre_launch", pre_launch)

    return switch


def in_walls(change: Callable[[list[str], Ground], list[str]]) -> Any:
    """Changes the command line of the sandbox."""

    def switch(patch: pytest.MonkeyPatch, ground: Ground) -> None:
        from cloister.sidecar import sandbox

        made = sandbox.bwrap_command

        def weaker(*args: Any, **kwargs: Any) -> list[str]:
            return change(made(*args, **kwargs), ground)

        patch.setattr(sandbox, "bwrap_command", weaker)

    return switch


def without(*options: str) -> Any:
    """Leaves words of the sandbox's command line out."""
    return in_walls(lambda command, _: [word for word in command if word not in options])


def mounted(path_of: Callable[[Ground], Path], option: str = "--bind") -> Any:
    """Mounts one more path, writable."""

    def change(command: list[str], ground: Ground) -> list[str]:
        end = command.index("--remount-ro")
        path = str(path_of(ground))
        return [*command[:end], option, path, path, *command[end:]]

    return in_walls(change)


def open_environment(patch: pytest.MonkeyPatch, _ground: Ground) -> None:
    """Lets every variable through."""
    from cloister.sidecar import sandbox

    closed = sandbox.kernel_environment
    patch.setattr(
        sandbox, "kernel_environment", lambda environ, *rest: {**environ, **closed(environ, *rest)}
    )


def without_extension(patch: pytest.MonkeyPatch, _ground: Ground) -> None:
    """Starts servers that do not load Cloister's extension."""
    from cloister.cli import setup

    settings = {"--ServerApp.jpserver_extensions": "{'cloister_lab': False}"}
    patch.setattr(setup, "LAB_SETTINGS", settings)


CONTROLS = {
    "text": Control(
        "scanning of text in every message",
        ("text-value", "errors-traceback-message", "comm-data", "replies-user-expressions"),
        in_sidecar("text"),
    ),
    "index": Control(
        "exact match with the values of catalogued data",
        ("display-scalar", "mime-html", "processes-thread"),
        in_sidecar("index"),
    ),
    "patterns": Control(
        "patterns and check digits",
        ("text-stranger-number", "text-stranger-card", "text-stranger-address"),
        in_sidecar("patterns"),
    ),
    "encodings": Control(
        "reading of what is encoded",
        ("encodings-base64", "encodings-hex", "encodings-gzip", "encodings-percent"),
        in_sidecar("encodings"),
    ),
    "redaction": Control(
        "tokens in place of values in calls to providers",
        ("providers-prompt", "providers-tool-arguments", "providers-key", "providers-system"),
        in_sidecar("redaction"),
    ),
    "markup": Control(
        "markup that is made unable to call out",
        ("markup-image", "markup-script-fetch", "markup-markdown-image", "markup-widget-html"),
        in_sidecar("markup"),
    ),
    "network": Control(
        "a network of the kernel's own",
        ("network-tcp", "network-udp", "network-dns-packet", "network-abstract-socket"),
        without("--unshare-net"),
    ),
    "processes": Control(
        "processes of the kernel's own",
        ("isolation-process-arguments", "isolation-process-list"),
        without("--unshare-pid"),
    ),
    "files": Control(
        "files by an allow-list",
        (
            "filesystem-read-outside",
            "filesystem-read-symlink",
            "filesystem-read-guard-home",
            "filesystem-write-outside",
            "network-unix-socket",
        ),
        mounted(lambda ground: ground.root),
    ),
    "data": Control(
        "data that can only be read",
        ("filesystem-change-dataset",),
        mounted(lambda ground: ground.data),
    ),
    "temporary": Control(
        "directories for temporary files of the kernel's own",
        ("filesystem-temporary-file",),
        mounted(lambda _: Path("/tmp")),
    ),
    "shared-memory": Control(
        "shared memory of the kernel's own",
        ("filesystem-shared-memory", "filesystem-shared-memory-named"),
        mounted(lambda _: Path("/dev/shm"), "--dev-bind"),
    ),
    "kernel-settings": Control(
        "settings of the operating system that can only be read",
        ("filesystem-kernel-settings",),
        mounted(lambda _: Path("/proc/sys")),
        needs_root=True,
    ),
    "seccomp": Control(
        "a filter of system calls",
        (
            "isolation-trace-child",
            "isolation-child-memory-call",
            "isolation-io-ring-use",
            "isolation-key-ring",
            "isolation-personality",
        ),
        without("--seccomp", "62"),
    ),
    "server": Control(
        "no terminals and no other kernels in a server",
        (
            "server-terminal",
            "server-terminal-data",
            "server-kernel-beside",
            "server-kernel-default",
        ),
        without_extension,
    ),
    "environment": Control(
        "an environment by an allow-list",
        ("filesystem-read-environment",),
        open_environment,
    ),
}
