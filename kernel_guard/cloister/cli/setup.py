"""``cloister init`` and ``cloister lab``."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from cloister.cli.output import json_option, print_json, say
from cloister.cli.workspace import current_home, current_policy
from cloister.core.errors import CloisterError

_JUPYTER_SETTINGS = (
    "jupyter_config",
    "jupyter_server_config",
    "jupyter_lab_config",
    "jupyter_notebook_config",
)
# The server extension sees to it that no terminal and no unguarded kernel stands beside guarded
# ones (`server` in the policy), also where JupyterLab is started in another way.
LAB_SETTINGS = {
    "--MappingKernelManager.default_kernel_name": "cloister",
    "--ServerApp.jpserver_extensions": "{'cloister_lab': True}",
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


def _refuse_planted_settings(directory: Path) -> None:
    """Refuses to start where Jupyter would load settings that a kernel may have written.

    Jupyter runs ``jupyter_*_config.py`` of the working directory as code, outside every wall, and
    the working directory is what kernels may write.
    """
    for name in _JUPYTER_SETTINGS:
        for suffix in (".py", ".json"):
            if (directory / f"{name}{suffix}").exists():
                raise CloisterError(
                    f"This directory holds {name}{suffix}, which Jupyter would run outside the "
                    "sandbox, and a kernel may have written it.",
                    code="CLO-SETUP-002",
                    remedy="Read it, then move it to ~/.jupyter or remove it.",
                )


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
    _refuse_planted_settings(Path.cwd())
    home = current_home()
    current_policy(home)  # said here, and not by the first kernel that does not start
    from cloister.sidecar.kernelspec import install

    install(sys.prefix)
    # -P: a module that a kernel left in the workspace must not run in the server.
    command = [sys.executable, "-P", "-m", "jupyterlab", *arguments]
    command += [
        f"{option}={value}"
        for option, value in LAB_SETTINGS.items()
        if not any(argument.startswith(option) for argument in arguments)
    ]
    sys.stdout.flush()
    # Replaces this process, so that signals and the terminal belong to JupyterLab.
    os.execv(sys.executable, command)  # noqa: S606 - this interpreter, a list, no shell
