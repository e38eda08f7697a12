"""``cloister lineage erase``: destroys payloads of the record, and says what stays."""

from __future__ import annotations

import hmac
import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from cloister.cli.output import json_option, print_json, say
from cloister.cli.workspace import current_home, current_policy
from cloister.core.errors import CloisterError
from cloister.core.retention import Subject, parse_subject
from cloister.store.erasure import BY_AGE, BY_PERSON, BY_SUBJECT, erase, plan_erasure, plan_expiry
from cloister.store.erasure_reader import ErasureReader
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from cloister.core.policy import Policy
    from cloister.core.records import Json
    from cloister.store.erasure import Plan
    from cloister.store.keys import Keyring

_TIME: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])
_FEWEST_CHARACTERS: Final = 4
_MOST_VALUES: Final = 1_000
_ALWAYS_REMAINS: Final = (
    (
        "headers of all events: who, when, which notebook, dataset, host; digests of code and "
        "outputs, by which a short text can be guessed and tested"
    ),
    "the sealed payloads, which nobody can open without their keys",
    (
        "in backups of the database, the destroyed keys, wrapped: to make them useless rotate "
        "(cloister keys rotate) and destroy older backups of keys/"
    ),
    "what witnesses and time stamps hold: sizes and root hashes, nothing of a payload",
    "notebooks, files, data sets and other systems: this erases in the record only",
)


@click.command("erase")
@click.option("--subject", metavar="S", help="user:NAME, dataset:NAME, kernel:ID or execution:ID.")
@click.option(
    "--person",
    type=click.File("r", encoding="utf-8"),
    help="A file (- for standard input) with values that identify one person, one a line.",
)
@click.option("--before", type=_TIME, help="Only what was recorded before this time, UTC.")
@click.option("--expired", is_flag=True, help="What is older than its retention class allows.")
@click.option("--reason", default="", help="Why; kept encrypted with the tombstone.")
@click.option("--skip-kept", is_flag=True, help="Erase the rest where some must be kept.")
@click.option("--dry-run", is_flag=True, help="Only say what would be erased.")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@json_option
def erase_command(
    *,
    subject: str | None,
    person: TextIO | None,
    before: datetime | None,
    expired: bool,
    reason: str,
    skip_kept: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Destroy code and outputs in the record; the record itself stays provable.

    Destroys the keys of the payloads that --subject, --person or --before name, or with --expired
    of those that the policy's retention classes let nobody keep. Headers stay.
    """
    _check_usage(subject, person, before, is_expiry=expired)
    home = current_home()
    policy = current_policy(home)
    keyring = open_keyring(home)
    now_us = time.time_ns() // 1000
    before_us = None if before is None else int(before.replace(tzinfo=UTC).timestamp()) * 1_000_000
    facts: dict[str, Json] = {"user": _user(policy), "attested_by": "cli"}
    with ErasureReader(home, keyring) as reader:
        if expired:
            plan = plan_expiry(reader, policy.retention, now_us)
        else:
            among, rule = None, BY_AGE
            if subject is not None:
                named = _subject(subject, reader)
                among, rule = reader.reached(named), BY_SUBJECT
                facts["subject"] = str(named)
            elif person is not None:
                values = _values(person)
                everything = {kept.seq for kept in reader.kept()}
                among = reader.holding(_spellings(values, policy, keyring), everything)
                rule = BY_PERSON
                facts["subject"] = "person"
                facts["subject_mac"] = _mac(keyring, values)
            if before_us is not None:
                facts["before_us"] = before_us
            plan = plan_erasure(
                reader, policy.retention, now_us, rule, among=among, before_us=before_us
            )
        refusal = None if skip_kept or expired else plan.refusal()
        if refusal is not None and not dry_run:
            raise refusal
        tombstones: list[int] = []
        if not dry_run and plan.count:
            _ask(plan, needs_word=not yes and not as_json)
            with LineageLog(home, keyring) as log:
                tombstones = erase(log, plan, facts, reason)
        bundles = reader.exported_payloads()
    report = _report(plan, tombstones, bundles, is_done=not dry_run, is_person=person is not None)
    _tell(report, as_json=as_json)


def _check_usage(
    subject: str | None, person: object, before: datetime | None, *, is_expiry: bool
) -> None:
    if subject is not None and person is not None:
        raise click.UsageError("Name --subject or --person, not both.")
    if is_expiry and (subject is not None or person is not None or before is not None):
        raise click.UsageError("--expired goes by the policy alone.")
    if not is_expiry and subject is None and person is None and before is None:
        raise click.UsageError("Name what to erase: --subject, --person, --before or --expired.")


def _subject(text: str, reader: ErasureReader) -> Subject:
    """Reads a subject; a bare name is taken for what alone the record knows by it."""
    try:
        return parse_subject(text)
    except ValueError:
        kinds = [] if ":" in text else reader.kinds_of(text)
    if len(kinds) == 1:
        return Subject(kinds[0], text)
    reason = "names more than one of user, dataset and kernel" if kinds else "names nothing"
    raise CloisterError(
        f"The subject {reason} in the record.",
        code="CLO-ERASE-005",
        remedy="Write user:NAME, dataset:NAME, kernel:ID or execution:ID; for somebody in the "
        "data use --person.",
    )


def _values(stream: TextIO) -> list[str]:
    values = [line.strip() for line in stream.read(1_000_000).splitlines() if line.strip()]
    if not values or len(values) > _MOST_VALUES or min(map(len, values)) < _FEWEST_CHARACTERS:
        raise CloisterError(
            "The file with the person's values has none, too many, or one of under four "
            "characters, which would be found everywhere.",
            code="CLO-ERASE-006",
            remedy="Write one identifying value a line: a number, an address, a whole name.",
        )
    return values


def _spellings(values: Iterable[str], policy: Policy, keyring: Keyring) -> list[bytes]:
    """Returns how a value may stand in a payload: as it is, or as a token of any type."""
    from cloister.core.entities import DEFAULT_LEVELS
    from cloister.detect.tokens import Tokenizer

    tokenizer = Tokenizer(keyring.token_key, keyring.reversible_key)
    own = {recognizer.entity_type for recognizer in policy.recognizers}
    types = sorted({*DEFAULT_LEVELS, *policy.entities, *own})
    texts: set[str] = set()
    for value in values:
        texts.add(value)
        for entity_type in types:
            texts.update(tokenizer.tokens(entity_type, [value]))
            texts.update(tokenizer.reversible_tokens(entity_type, [value]))
    # Payloads are JSON, written by more than one writer: with letters as they are, or escaped.
    spellings = {json.dumps(text)[1:-1] for text in texts}
    spellings |= {json.dumps(text, ensure_ascii=False)[1:-1] for text in texts}
    # A text inside a JSON text that is itself a text: its quotes and escapes are escaped again.
    spellings |= {json.dumps(text)[1:-1] for text in spellings}
    return [text.encode("utf-8", "surrogatepass") for text in spellings]


def _mac(keyring: Keyring, values: Iterable[str]) -> str:
    """Returns what names the person in tombstones; without the workspace's key it says nothing."""
    text = "\n".join(sorted(values)).encode("utf-8", "surrogatepass")
    return hmac.digest(keyring.subject_key, text, "sha256").hex()


def _user(policy: Policy) -> str:
    import os

    from cloister.store.identity import current_user

    return current_user(os.environ, policy)


def _ask(plan: Plan, *, needs_word: bool) -> None:
    if needs_word and sys.stdin.isatty():
        click.confirm(f"Destroy {plan.count} payloads? Nobody can undo this", abort=True)


def _report(
    plan: Plan, tombstones: list[int], bundles: int, *, is_done: bool, is_person: bool
) -> dict[str, Any]:
    """Returns what was erased, what was kept and what remains."""
    rows = [kept for some in plan.erased.values() for kept in some]
    older = sum(not kept.has_key for kept in rows)
    remains = [*_ALWAYS_REMAINS]
    if bundles:
        remains.append(
            f"{bundles} bundles were handed out with sealed payloads; they hold no data key"
        )
    if older:
        remains.append(
            f"of {older} payloads from before there were data keys: copies in backups and bundles, "
            "which the root key of the workspace opens; the payloads here were taken out"
        )
    if is_person:
        remains.append(
            "payloads that show the person by other values, in pictures, or in aggregates: only "
            "texts with the whole values or their tokens were found"
        )
    return {
        "erased": plan.count if is_done else 0,
        "would_erase": 0 if is_done else plan.count,
        "by_rule": {rule: len(some) for rule, some in plan.erased.items()},
        "kept": {"held": dict(plan.held), "young": dict(plan.young)},
        "tombstones": tombstones,
        "remains": remains,
    }


def _tell(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    if report["would_erase"] or not report["tombstones"]:
        say(f"{report['would_erase']} payloads would be erased; nothing was.")
    else:
        numbers = ", ".join(str(seq) for seq in report["tombstones"])
        say(f"{report['erased']} payloads are erased; tombstones: {numbers}")
    for rule, count in report["by_rule"].items():
        say(f"  {count} by {rule}")
    for why, counts in (("on legal hold", "held"), ("too young", "young")):
        for rule, count in report["kept"][counts].items():
            say(f"  {count} stay, {why}: {rule}")
    say("What remains:")
    for line in report["remains"]:
        say(f"  - {line}")
