"""``cloister policy``: what is in force, whether a file is valid, and why something is decided."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloister.cli.output import json_option, print_json, print_table, say
from cloister.cli.workspace import current_home, current_policy, recorded_change
from cloister.core.decisions import Decision, Effect, decide_display, decide_egress
from cloister.core.labels import Level
from cloister.store.executions import iso_time

if TYPE_CHECKING:
    from cloister.core.policy import Policy

_PATH = click.Path(path_type=Path)
_LEVELS = [str(level) for level in Level]


@click.group()
def policy() -> None:
    """Show, check, apply and explain the policy."""


@policy.command()
@json_option
def show(*, as_json: bool) -> None:
    """Show the policy in force."""
    home = current_home()
    live = current_policy(home)
    if as_json:
        print_json({"name": live.name, "digest": live.digest, "policy": live.raw})
    else:
        click.echo(home.policy_path.read_text("utf-8-sig"), nl=False)


@policy.command()
@click.argument("file", type=_PATH)
@json_option
def check(file: Path, *, as_json: bool) -> None:
    """Check FILE without applying it."""
    from cloister.store.policy import PolicyRejected, load_policy

    try:
        load_policy(file)
        problems = []
    except PolicyRejected as rejected:
        if rejected.code == "CLO-POLICY-002":  # the file could not be read at all
            raise
        problems = list(rejected.problems)
    if as_json:
        print_json({"ok": not problems, "problems": [p.as_dict() for p in problems]})
    elif problems:
        for problem in problems:
            say(f"{file}:{problem.line}:{problem.column}: {problem.message}")
    else:
        say(f"{file}: valid")
    if problems:
        click.get_current_context().exit(1)


@policy.command()
@click.argument("file", type=_PATH)
@json_option
def apply(file: Path, *, as_json: bool) -> None:
    """Make FILE the policy in force; running kernels take it up with their next cell."""
    from cloister.store.policy import apply_policy

    home = current_home()
    with recorded_change(home) as record:
        live = apply_policy(
            home,
            file,
            before_live=lambda new: record(
                "policy.applied", {"policy": new.name, "policy_digest": new.digest}
            ),
        )
    if as_json:
        print_json({"name": live.name, "digest": live.digest})
    else:
        say(f"Policy {live.name} ({live.digest[:12]}) is in force.")


@policy.command()
@json_option
def history(*, as_json: bool) -> None:
    """List the versions that were in force, newest first."""
    from cloister.store.policy import policy_history

    rows = [
        {"seq": v.seq, "digest": v.digest, "time": iso_time(v.applied_us), "live": v.live,
         "file": str(v.path)}
        for v in policy_history(current_home())
    ]  # fmt: skip
    if as_json:
        print_json(rows)
        return
    print_table(
        ["version", "digest", "since", "", "file"],
        [(r["seq"], r["digest"], r["time"], "live" if r["live"] else "", r["file"]) for r in rows],
        "There is no version yet.",
    )


@policy.command()
@click.option("--host", help="May a kernel connect to this host?")
@click.option("--port", type=click.IntRange(1, 65535), default=443, show_default=True)
@click.option("--column", help="How is a column of this name shown?")
@click.option("--entity", metavar="TYPE", help="How is a value of this entity type shown?")
@click.option("--level", type=click.Choice(_LEVELS, case_sensitive=False),
              help="How is a value of this level shown?")  # fmt: skip
@json_option
def explain(
    host: str | None,
    port: int,
    column: str | None,
    entity: str | None,
    level: str | None,
    *,
    as_json: bool,
) -> None:
    """Say what the policy in force decides, and by which rule.

    Ask one question: --host, --column, --entity or --level.
    """
    if sum(question is not None for question in (host, column, entity, level)) != 1:
        raise click.UsageError("Ask one question: --host, --column, --entity or --level.")
    live = current_policy(current_home())
    if host is not None:
        decision = decide_egress(live, host, port)
    elif column is not None:
        decision = _explain_column(live, column)
    elif entity is not None:
        decision = _explain_entity(live, entity)
    else:
        decision = decide_display(live, Level.parse(level or ""))
    if as_json:
        print_json(decision.as_dict())
    else:
        say(f"{decision.effect.value}: {decision.reason}. Rule: {decision.rule}.")
        if decision.remedy:
            say(decision.remedy)
    if decision.effect in {Effect.BLOCK, Effect.REVIEW}:
        click.get_current_context().exit(1)


def _explain_column(live: Policy, column: str) -> Decision:
    for rule in live.columns:
        if rule.matches(column):
            shown = decide_display(live, rule.level)
            reason = f"{rule.id} declares columns named {rule.match} {rule.level}; {shown.reason}"
            return Decision(shown.effect, shown.rule, reason, shown.remedy, shown.obligations)
    return Decision(
        Effect.ALLOW,
        "columns.default",
        "No rule names this column, so what it holds decides: classify the file to see",
        "Declare it under columns in the policy, or run: cloister catalog label",
    )


def _explain_entity(live: Policy, entity: str) -> Decision:
    level = live.level_of(entity)
    shown = decide_display(live, level)
    source = "the policy says" if entity in live.entities else "by default"
    reason = f"{entity} is {level}, {source}; {shown.reason}"
    return Decision(shown.effect, shown.rule, reason, shown.remedy, shown.obligations)
