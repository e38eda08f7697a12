"""The entry of ``cloister`` and ``jupyter cloister``: loads a command when it is called.

Exit codes: 0 yes or held, 1 no or something was found, 2 bad usage or input. With ``--json`` an
error is one JSON document, too. No traceback ever reaches the terminal: it could hold data.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Final

import click

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS: Final = {
    "init": ("cloister.cli.setup:init", "Make the workspace: policy, keys and store."),
    "doctor": ("cloister.cli.doctor:doctor", "Say which guarantees hold here, and which do not."),
    "drill": ("cloister.cli.drill.command:drill", "Try every known way out with canary data."),
    "lab": ("cloister.cli.setup:lab", "Start JupyterLab on guarded kernels."),
    "classify": ("cloister.cli.data:classify", "Find sensitive columns, or values in text."),
    "mask": ("cloister.cli.data:mask", "Write a masked copy of a data file."),
    "share": ("cloister.cli.share:share", "Share a notebook without what may not leave."),
    "catalog": ("cloister.cli.catalog:catalog", "Name datasets and declare their columns."),
    "policy": ("cloister.cli.policy:policy", "Show, check, apply and explain the policy."),
    "lineage": ("cloister.cli.lineage:lineage", "Read and verify the record."),
    "witness": ("cloister.cli.witness:witness", "Witness records, and ask the witnesses."),
    "budget": ("cloister.cli.budget:budget", "Show and set privacy budgets."),
    "keys": ("cloister.cli.keys:keys", "Look after the workspace's keys."),
}

# Errors about what was asked for, not about what was found.
_BAD_INPUT: Final = frozenset(
    {
        "CLO-CATALOG-002",
        "CLO-CATALOG-003",
        "CLO-CATALOG-004",
        "CLO-CATALOG-007",
        "CLO-POLICY-002",
        "CLO-DP-003",
        "CLO-SHARE-001",
        "CLO-SHARE-003",
        "CLO-SHARE-004",
        "CLO-SHARE-005",
        "CLO-SHARE-006",
        "CLO-WITNESS-003",
        "CLO-WITNESS-004",
        "CLO-STORE-006",
        "CLO-STORE-011",
        "CLO-ERASE-005",
        "CLO-ERASE-006",
        "CLO-KEYS-005",
    }
)
_BAD_INPUT_PREFIXES: Final = (
    "CLO-INPUT-",
    "CLO-DETECT-",
    "CLO-CLUSTER-",
    "CLO-EXPORT-",
    "CLO-LINEAGE-",
)


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names in the order of the table."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports one command."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the overview from the table, so that help imports nothing."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cloister", prog_name="cloister")
def cli() -> None:
    """A JupyterLab that you can let near real data."""


def run(arguments: Sequence[str]) -> int:
    """Runs one command line.

    Args:
        arguments: Everything after the program's name.

    Returns:
        The exit code.
    """
    as_json = "--json" in arguments
    try:
        code = cli.main(list(arguments), prog_name="cloister", standalone_mode=False)
    except click.UsageError as error:
        return _refuse_usage(error, as_json=as_json)
    except click.Abort:
        return 130
    except CloisterError as error:
        return _refuse(error, as_json=as_json)
    except BrokenPipeError:
        # The reader has gone; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - a traceback on a terminal could hold data
        kind = type(error).__name__
        unexpected = CloisterError(
            f"The command failed in a way that it does not know ({kind}).",
            remedy="Run: cloister doctor. If all holds, please report the command and this text.",
        )
        return _refuse(unexpected, as_json=as_json)
    return code if isinstance(code, int) else 0


def main() -> None:
    """Runs the command line of this process."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="cloister: %(message)s")
    sys.exit(run(sys.argv[1:]))


def _refuse_usage(error: click.UsageError, *, as_json: bool) -> int:
    if as_json:
        refusal = CloisterError(error.format_message(), code="CLO-INPUT-001")
        return _refuse(refusal, as_json=True)
    error.show()
    return 2


def _refuse(error: CloisterError, *, as_json: bool) -> int:
    from cloister.cli.output import print_error

    print_error(error, as_json=as_json)
    is_input = error.code in _BAD_INPUT or error.code.startswith(_BAD_INPUT_PREFIXES)
    return 2 if is_input else 1
