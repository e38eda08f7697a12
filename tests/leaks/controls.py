"""The controls that hold the cases, each with a switch that only tests can reach.

A control is switched off in the process that makes it: walls in the process that starts the kernel,
scanning in the sidecar, which then runs :mod:`weakened` in the place of ``cloister.sidecar``.
Nothing that is shipped knows these switches.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloister.cli.drill.ground import GUARDED, WITHOUT_HOOKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest
    from cloister.cli.drill.ground import Ground

WEAKENED = Path(__file__).with_name("weakened.py")


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
        what: In words.
        cases: Which leak when it is off, and only then.
        switch: Switches it off for kernels that start from then on.
        needs_root: Whether only root's kernels need it.
        policy: What the policy says beside its defaults, where the control does nothing without;
            it is told where the listeners are.
        beside: Controls of the sidecar that are off in any case, since they would hold the cases,
            too.
        kernel: The kernel spec; what asks the proxy needs the relay that the hooks bring.
    """

    what: str
    cases: tuple[str, ...]
    switch: Callable[[pytest.MonkeyPatch, Ground], None]
    needs_root: bool = False
    policy: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    beside: tuple[str, ...] = ()
    kernel: str = WITHOUT_HOOKS


def in_sidecar(*names: str) -> Callable[[pytest.MonkeyPatch, Ground], None]:
    """Starts sidecars through :mod:`weakened`, which switches ``names`` off."""

    def switch(patch: pytest.MonkeyPatch, _ground: Ground) -> None:
        from cloister.sidecar.provisioner import CloisterProvisioner

        ready = CloisterProvisioner.pre_launch

        async def pre_launch(self: Any, **kwargs: Any) -> dict[str, Any]:
            launch = await ready(self, **kwargs)
            spec_file = launch["cmd"][-1]
            launch["cmd"] = [sys.executable, "-P", str(WEAKENED), ",".join(names), spec_file]
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


def in_server(*names: str) -> Callable[[pytest.MonkeyPatch, Ground], None]:
    """Starts servers that load :mod:`before_cloister` first, which switches ``names`` off."""

    def switch(patch: pytest.MonkeyPatch, _ground: Ground) -> None:
        from cloister.cli import setup

        extensions = {"before_cloister": True, "cloister_lab": True}
        settings = {**setup.LAB_SETTINGS, "--ServerApp.jpserver_extensions": str(extensions)}
        patch.setattr(setup, "LAB_SETTINGS", settings)
        patch.setenv("CLOISTER_TEST_WITHOUT", ",".join(names))
        patch.setenv("PYTHONPATH", str(WEAKENED.parent), prepend=os.pathsep)

    return switch


def allowing(host: str, listener: str = "http") -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Returns a policy that allows the listener under a name."""

    def policy(addresses: Mapping[str, Any]) -> dict[str, Any]:
        port = int(str(addresses[listener]).rpartition(":")[2])
        return {"egress": {"allow": [{"host": host, "ports": [port], "reason": "a test"}]}}

    return policy


#: What no scan of text knows: only what does not look at text holds these.
_UNKNOWN_TO_SCANS = ("encodings-rot13", "covert-half-a-name")

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
        "markup that cannot call out",
        (
            "markup-image",
            "markup-style-background",
            "markup-svg-image",
            "markup-markdown-image",
            "markup-vega-data",
            "markup-widget-html",
        ),
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
    "splits": Control(
        "what was shown before, for values in pieces",
        (
            "splits-two-displays",
            "splits-two-cells",
            "splits-stream-and-result",
            "splits-text-and-html",
        ),
        in_sidecar("recall"),
    ),
    "mime-types": Control(
        "types of data by a list, scripts not among them",
        ("markup-javascript", "markup-javascript-library", "mime-unknown-encoded"),
        in_sidecar("mime-types"),
    ),
    "pictures": Control(
        "pictures taken apart",
        ("pictures-png-compressed-text",),
        in_sidecar("picture-parts"),
    ),
    "pixels": Control(
        "known values in pixels",
        ("pictures-png-rows-as-pixels",),
        in_sidecar("pixels"),
    ),
    "fails-closed": Control(
        "an output whose check fails stays",
        ("mime-html", "errors-traceback-message", "comm-data"),
        in_sidecar("fails-open"),
        beside=("failing-text",),
    ),
    "enclave": Control(
        "nothing leaves an enclave",
        ("mime-html", "comm-data", "errors-traceback-message", "mime-unknown-encoded"),
        in_sidecar("enclosure"),
        policy=lambda _: {"mode": "enclave"},
    ),
    "high-water": Control(
        "what a kernel that has read restricted data may still show",
        _UNKNOWN_TO_SCANS,
        in_sidecar("high-water"),
        policy=lambda _: {"high_water": {"restricted": {"display": "withhold"}}},
    ),
    "volume": Control(
        "how much one user sees in a day",
        _UNKNOWN_TO_SCANS,
        in_sidecar("volume"),
        policy=lambda _: {"limits": {"volume": [{"bytes": 1}]}},
    ),
    "allow-list": Control(
        "hosts by an allow-list",
        ("network-http-environment", "network-http-header", "network-http-chunked"),
        in_sidecar("allow-list", "private-addresses", "value-filter"),
        beside=("private-addresses", "value-filter"),
        kernel=GUARDED,
    ),
    "private-addresses": Control(
        "private addresses that no rule names itself",
        ("network-http-environment", "network-http-header"),
        in_sidecar("private-addresses", "value-filter"),
        policy=allowing("*.0.0.1"),
        beside=("value-filter",),
        kernel=GUARDED,
    ),
    "value-filter": Control(
        "values in requests to a host that is allowed",
        ("network-http-environment", "network-http-header", "network-http-chunked"),
        in_sidecar("value-filter"),
        policy=allowing("127.0.0.1"),
        kernel=GUARDED,
    ),
    "contents": Control(
        "files scanned where they leave the server",
        (
            "files-csv-downloaded",
            "files-csv-opened",
            "files-parquet",
            "files-file-name",
            "notebooks-output-saved",
            "notebooks-downloaded",
            "notebooks-exported-html",
        ),
        without_extension,
    ),
    "tls-inspection": Control(
        "TLS that the proxy opens",
        ("network-https-environment",),
        in_sidecar("tls-inspection"),
        policy=allowing("127.0.0.1", "https"),
        kernel=GUARDED,
    ),
    "names": Control(
        "names below a wildcard, looked at before they are looked up",
        ("network-name-below-wildcard",),
        in_sidecar("names", "value-filter"),
        beside=("value-filter",),
        policy=lambda _: {
            "egress": {"allow": [{"host": "*.drill.invalid", "ports": [80], "reason": "a test"}]}
        },
        kernel=GUARDED,
    ),
    "record": Control(
        "an execution runs when its intent is in the record",
        ("display-scalar", "text-value"),
        in_sidecar("record"),
    ),
    "page-policy": Control(
        "pages that a browser keeps from calling out",
        ("server-page-calls", "files-page-calls"),
        in_server("page-policy"),
    ),
    "saving": Control(
        "notebooks masked where they are saved",
        ("notebooks-values-sent-to-be-saved",),
        in_server("saving"),
        policy=lambda _: {"files": {"download": {"restricted": "allow", "confidential": "allow"}}},
    ),
    "signature": Control(
        "messages that the kernel has signed",
        ("messages-wrong-signature-passes",),
        in_sidecar("signature"),
    ),
    "broker-token": Control(
        "questions to the broker that carry the kernel's token",
        ("isolation-broker-without-token",),
        in_sidecar("token"),
    ),
}
