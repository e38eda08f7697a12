"""``cloister init`` and ``cloister lab``."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

import click

from cloister.cli.output import json_option, print_json, say
from cloister.cli.workspace import current_home, current_policy
from cloister.core.errors import CloisterError

# An unguarded kernel or a terminal beside guarded ones would be a way around them. Whoever needs
# one passes the option; whoever administers the machine decides who may.
_SETTINGS = {
    "--MappingKernelManager.default_kernel_name": "cloister",
    "--KernelSpecManager.allowed_kernelspecs": "cloister",
    "--KernelSpecManager.ensure_native_kernel": "False",
    "--ServerApp.terminals_enabled": "False",
}


@click.command()
@json_option
def init(*, as_json: bool) -> None:
    """Make the workspace: policy, keys and store.

    Does nothing to a workspace that is there.
    """
    from cloister.store.keys import open_keyring

    home = current_home()
    policy = current_policy(home)
    keyring = open_keyring(home)
    if as_json:
        print_json(
            {
                "home": str(home.root),
                "policy": policy.name,
                "policy_digest": policy.digest,
                "public_key": keyring.verifier_line,
            }
        )
        return
    say(f"Workspace   {home.root}")
    say(f"Policy      {policy.name} ({home.policy_path.name}), {policy.digest[:12]}")
    say(f"Record key  {keyring.verifier_line}")
    say("Next        cloister doctor, then cloister lab")


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(arguments: tuple[str, ...]) -> None:
    """Start JupyterLab on guarded kernels; arguments are JupyterLab's own."""
    if find_spec("jupyterlab") is None:
        raise CloisterError(
            "JupyterLab is not installed beside Cloister.",
            code="CLO-SETUP-001",
            remedy='Run: pip install "cloister[lab,kernel]"',
        )
    home = current_home()
    current_policy(home)  # said here, and not by the first kernel that does not start
    from cloister.sidecar.kernelspec import install

    install(sys.prefix)
    # -P: a module that a kernel left in the workspace must not run in the server.
    command = [sys.executable, "-P", "-m", "jupyterlab", *arguments]
    command += [
        f"{option}={value}"
        for option, value in _SETTINGS.items()
        if not any(argument.startswith(option) for argument in arguments)
    ]
    sys.stdout.flush()
    # Replaces this process, so that signals and the terminal belong to JupyterLab.
    os.execv(sys.executable, command)  # noqa: S606 - this interpreter, a list, no shell
