"""The corpus in parts that take about as long: pytest runs the files side by side."""

from __future__ import annotations

from cloister.cli.drill.cases import Case, load_corpus

# What hooks change: tables that show themselves, and ways around the hooks.
_SHOWN_BY_HOOKS = {"display", "hooks", "mime", "peers", "text"}
_OUTPUTS = _SHOWN_BY_HOOKS | {
    "comm",
    "covert",
    "debugger",
    "encodings",
    "errors",
    "late",
    "markup",
    "media",
    "messages",
    "pictures",
    "processes",
    "prompts",
    "replies",
    "splits",
}


def quick_cases() -> list[Case]:
    """Everything but what takes long; ``cloister drill --all`` runs that, too."""
    return [case for case in load_corpus() if case.quick]


def shown_by_hooks() -> list[Case]:
    """Cases in which the hooks act before the gate does."""
    return [case for case in quick_cases() if case.family in _SHOWN_BY_HOOKS]


def outputs() -> list[Case]:
    """Cases that end in a message of the kernel."""
    return [case for case in quick_cases() if case.family in _OUTPUTS]


def other_ways_out() -> list[Case]:
    """Cases that end in a connection, a file, a process or an answer of the server."""
    return [case for case in quick_cases() if case.family not in _OUTPUTS]
