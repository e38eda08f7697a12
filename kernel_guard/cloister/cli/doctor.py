"""``cloister doctor``: which guarantees hold on this machine, and which do not."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cloister.cli.keeping import keys_held, retention_kept
from cloister.cli.output import json_option, print_json, print_table, say
from cloister.core.errors import CloisterError
from cloister.core.guarantees import Guarantee
from cloister.core.policy import SandboxMode
from cloister.core.serverrules import CLOSED
from cloister.store.home import Home, check_private, ensure_home, locate_home

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.core.policy import Policy
    from cloister.sidecar.bestwalls import BestWalls
    from cloister.store.evidence.standing import Standing

_FULL_VERIFY_EVENTS: Final = 200_000
_LOW_SPACE_BYTES: Final = 50_000_000
_PROVISIONER: Final = "cloister-provisioner"


@click.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Say which guarantees hold here, and which do not."""
    home = locate_home(os.environ)
    policy, guarantees = examine(home)
    if as_json:
        mode = policy.mode.value if policy else None
        document = {"mode": mode, "guarantees": [asdict(g) for g in guarantees]}
        print_json(document)
    else:
        print_table(
            ["guarantee", "holds", "why", "fix"],
            [(g.id, "yes" if g.holds else "NO", g.why, g.fix) for g in guarantees],
            "",
        )
        say(f"Workspace: {home.root}")
    if not all(g.holds for g in guarantees):
        click.get_current_context().exit(1)


def examine(home: Home) -> tuple[Policy | None, list[Guarantee]]:
    """Returns the policy and every guarantee; a check that fails to run has shown nothing."""
    private = _guard("home-private", lambda: _home_private(home))
    policy: Policy | None = None

    def check_policy() -> Guarantee:
        nonlocal policy
        from cloister.store.policy import load_policy

        policy = load_policy(home)
        return _holds("policy", f"{policy.name}, {policy.digest[:12]}, is valid")

    stated = _guard("policy", check_policy)
    return policy, [
        *_walls(home, policy),
        _guard("resources", lambda: _resources(policy)),
        private,
        stated,
        _guard("record", lambda: _record(home)),
        *_witnessed(home, policy),
        _guard("keys", lambda: keys_held(home)),
        _guard("retention", lambda: retention_kept(home, policy)),
        _guard("kernelspec", _kernelspec),
        extension := _guard("lab-extension", _lab_extension),
        *_server(policy, extension),
        _identity(policy),
        _account(),
    ]


def _holds(name: str, why: str) -> Guarantee:
    return Guarantee(name, holds=True, why=why)


def _fails(name: str, why: str, fix: str) -> Guarantee:
    return Guarantee(name, holds=False, why=why, fix=fix)


def _guard(name: str, check: Callable[[], Guarantee]) -> Guarantee:
    try:
        return check()
    except CloisterError as error:
        return _fails(name, f"{error.code}: {error.message}", error.remedy)
    except Exception as error:  # noqa: BLE001 - a check that breaks has not shown that anything holds
        reason = f"the check could not run ({type(error).__name__})"
        return _fails(name, reason, "Reinstall: pip install 'cloister[all]'")


def _home_private(home: Home) -> Guarantee:
    ensure_home(home)
    check_private(home)
    from cloister.store.keys import open_keyring

    open_keyring(home).verifier_line  # noqa: B018 - reads and checks every key
    return _holds("home-private", "only this account reaches policy, keys and store")


def _account() -> Guarantee:
    if os.geteuid() != 0:
        return _holds("account", "kernels run with the rights of an ordinary account")
    return _fails(
        "account",
        "this is root: inside its walls, a kernel owns every file that root owns",
        "Run the server under an ordinary account.",
    )


def _walls(home: Home, policy: Policy | None) -> list[Guarantee]:
    """Returns which walls stand, and what was tried inside them."""
    from cloister.sidecar.bestwalls import best_walls
    from cloister.sidecar.trial import TRIED, try_walls

    try:
        standing = best_walls()
        tried = try_walls(standing.walls, home.root)
    except Exception as error:  # noqa: BLE001 - a trial that breaks has not shown that anything holds
        why = f"the trial could not run ({type(error).__name__})"
        return [_fails(name, why, "Run: cloister drill") for name in ("sandbox", *TRIED)]
    return [_sandbox(standing, policy), *tried]


def _sandbox(standing: BestWalls, policy: Policy | None) -> Guarantee:
    from cloister.sidecar.walls import Walls

    if standing.walls is Walls.BUBBLEWRAP:
        return _holds("sandbox", standing.why)
    mode = policy.sandbox if policy else SandboxMode.REQUIRED
    starts = "start" if standing.walls.suffice(mode) else "do not start"
    there = "Landlock and seccomp" if standing.walls.stand else "no walls"
    why = f"{standing.why}; there are {there}, and by the policy (sandbox: {mode.value}) kernels"
    return _fails("sandbox", f"{why} {starts}", standing.fix)


def _resources(policy: Policy | None) -> Guarantee:
    from cloister.core.resources import ResourceLimits
    from cloister.sidecar.controlgroup import try_group

    limits = policy.resources if policy else ResourceLimits()
    held = (
        "a control group holds memory and processes"
        if try_group(limits)
        else "no control group can be made here: the sidecar looks several times a second"
    )
    return _holds("resources", f"limits are set by the policy; {held}")


def _server(policy: Policy | None, extension: Guarantee) -> list[Guarantee]:
    rules = policy.server if policy else CLOSED
    rows = []
    for name, what, is_open in (
        ("terminals", "terminals", rules.terminals),
        ("other-kernels", "kernels without a guard", rules.unguarded_kernels),
    ):
        key = name if name == "terminals" else "unguarded_kernels"
        if is_open:
            why, fix = f"the policy lets the server have {what}", f"Leave server.{key} out of it."
            rows.append(_fails(name, why, fix))
        elif not extension.holds:
            why = f"nothing keeps a server from having {what}: {extension.why}"
            rows.append(_fails(name, why, extension.fix))
        else:
            rows.append(_holds(name, f"the server extension lets no server here have {what}"))
    return rows


def _record(home: Home) -> Guarantee:
    from cloister.store.keys import open_keyring
    from cloister.store.lineage import LineageLog
    from cloister.store.lineage_reader import LineageReader
    from cloister.store.lineage_verify import verify_home

    keyring = open_keyring(home)
    LineageLog(home, keyring).close()  # can be written, and fits its witness
    if shutil.disk_usage(home.root).free < _LOW_SPACE_BYTES:
        return _fails(
            "record", "the disk is almost full, and nothing runs unrecorded", "Free space."
        )
    with LineageReader(home) as reader:
        checkpoint = reader.checkpoint()
    size = checkpoint.size if checkpoint else 0
    if size > _FULL_VERIFY_EVENTS:
        why = f"{size} events fit the witness; for all of them run: cloister lineage verify"
        return _holds("record", why)
    report = verify_home(home, keyring)
    if not report.ok:
        fix = "Run: cloister lineage verify. Keep the files as evidence."
        return _fails("record", "; ".join(report.problems), fix)
    return _holds("record", f"{report.events} events, whole and signed")


def _witnessed(home: Home, policy: Policy | None) -> list[Guarantee]:
    """Returns who notices what nobody on this machine can; asks the witnesses."""
    from cloister.store.evidence.posture import coverage

    if policy is None:
        why = "without a valid policy it is not known who witnesses the record"
        return [_fails("witness", why, "Repair the policy first.")]
    try:
        found = ask_witnesses(home, policy)
    except (CloisterError, OSError) as error:
        why = f"the witnesses could not be asked ({type(error).__name__})"
        return [_fails("witness", why, "Repair the record first.")]
    return [Guarantee(c.id, c.holds, c.why, c.fix) for c in coverage(found)]


def ask_witnesses(home: Home, policy: Policy) -> list[Standing]:
    """Asks every witness that the policy names, and returns how they stand."""
    from cloister.store.evidence.witnessing import Witnessing
    from cloister.store.keys import open_keyring

    return Witnessing(home, open_keyring(home), lambda: policy.record).round(
        is_forced=True, waits=True
    )


def _kernelspec() -> Guarantee:
    fix = "Run: python -m cloister.sidecar.kernelspec"
    registered = entry_points(group="jupyter_client.kernel_provisioners", name=_PROVISIONER)
    if not registered:
        why = "the provisioner is not registered, so no client can start a guarded kernel"
        return _fails("kernelspec", why, "Reinstall: pip install 'cloister[kernel]'")
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec("cloister")
    except NoSuchKernel:
        return _fails("kernelspec", "the kernel spec 'cloister' is not installed", fix)
    provisioner = spec.metadata.get("kernel_provisioner", {}).get("provisioner_name")
    if provisioner != _PROVISIONER:
        why = "the kernel spec 'cloister' starts an unguarded kernel"
        return _fails("kernelspec", why, fix)
    if shutil.which(spec.argv[0]) is None:
        why = "the kernel spec 'cloister' names an interpreter that is gone"
        return _fails("kernelspec", why, fix)
    return _holds("kernelspec", "clients start 'Python 3 (Cloister)' through the guard")


def _lab_extension() -> Guarantee:
    from jupyter_core.paths import jupyter_config_path, jupyter_path

    fix = "Reinstall: pip install 'cloister[lab]'"
    if not any(_enables_extension(Path(directory)) for directory in jupyter_config_path()):
        why = "the server extension cloister_lab is not enabled"
        return _fails("lab-extension", why, fix)
    if not any(_has_front_end(Path(directory)) for directory in jupyter_path("labextensions")):
        why = "the JupyterLab extension is not installed, so Lab shows no posture"
        return _fails("lab-extension", why, fix)
    return _holds("lab-extension", "server extension enabled, JupyterLab extension there")


def _enables_extension(directory: Path) -> bool:
    files = [directory / "jupyter_server_config.json"]
    files += sorted((directory / "jupyter_server_config.d").glob("*.json"))
    for file in files:
        try:
            config = json.loads(file.read_bytes())
            if config["ServerApp"]["jpserver_extensions"]["cloister_lab"] is True:
                return True
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return False


def _has_front_end(directory: Path) -> bool:
    return any(
        "cloister" in str(path) for path in directory.glob("*cloister*/package.json")
    ) or any(directory.glob("@cloister/*/package.json"))


def _identity(policy: Policy | None) -> Guarantee:
    from cloister.store.identity import current_identity

    if policy is None:
        why = "without a valid policy it is not known whose word counts"
        return _fails("identity", why, "Repair the policy first.")
    identity = current_identity(os.environ, policy)
    if policy.identity_from_environment:
        why = (
            f"the policy takes the user's word (now {identity.user}, from the "
            f"{identity.source.value}): CLOISTER_USER and CLOISTER_ROLES can state any name"
        )
        fix = "Where several people work, set identity.from_environment: false in the policy."
        return _fails("identity", why, fix)
    return _holds("identity", f"{identity.user}, from the {identity.source.value}")
