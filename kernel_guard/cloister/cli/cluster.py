"""Directories of tables, and large ones, on this machine or on a Ray cluster.

Workers get the path of the workspace and never a key: each opens the workspace where it runs, which
must therefore be on a path that all of them share, private to the account that they run under.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloister.cli.masking import policy_for, table_masking
from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloister.cli.progress import Bars
    from cloister.core.policy import ColumnRule, Policy
    from cloister.detect.cluster import Engine, Part
    from cloister.detect.finding import ColumnFinding
    from cloister.detect.fullscan import TableClassifier
    from cloister.detect.streaming import Classification, Masking
    from cloister.store.home import Home


@dataclass(frozen=True, slots=True)
class Workers:
    """Where the work is done.

    Attributes:
        engine: ``local`` or ``ray``.
        address: Of a Ray cluster; ``None`` for ``RAY_ADDRESS`` or a cluster on this machine.
        count: The most parts at a time; ``None`` for as many as there are CPUs.
    """

    engine: str = "local"
    address: str | None = None
    count: int | None = None

    def are_for(self, source: Path) -> bool:
        """Returns whether a source is worked on in parts."""
        return self.engine != "local" or source.is_dir()

    def start(self) -> Engine:
        """Returns the engine.

        Raises:
            ClusterError: Ray is not installed, or its cluster cannot be reached.
        """
        from cloister.detect.cluster import in_this_process

        if self.engine == "local":
            return in_this_process
        from cloister.detect.rayengine import RayEngine

        return RayEngine(self.address, self.count)


def workers_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say where the work is done, as the arguments of :class:`Workers`."""
    for option in (
        click.option(
            "--workers", type=click.IntRange(1), help="At most this many parts at a time."
        ),
        click.option("--address", metavar="HOST:PORT", help="Ray cluster; or set RAY_ADDRESS."),
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            help="ray: on a Ray cluster, or on all CPUs of this machine.",
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class WorkspaceJob:
    """What workers are sent: where the workspace is, and what the catalogue says. No key, no value.

    Attributes:
        home: Path of the workspace, the same on every machine.
        policy_digest: The policy that the command read; a worker that reads another one stops.
        declared: Declared labels of the data.
        role: Whose view a copy is masked for.
    """

    home: str
    policy_digest: str
    declared: tuple[ColumnRule, ...]
    role: str | None = None

    def classifier(self, names: Sequence[str]) -> TableClassifier:
        """Returns a classifier of the workspace's policy and catalogue."""
        from cloister.detect.fullscan import TableClassifier
        from cloister.detect.recognizers import Recognizers

        policy = self._policy(self._home())
        return TableClassifier(
            names,
            declared=self.declared,
            level_of=policy.level_of,
            recognizers=Recognizers.of(policy),
        )

    def masking(self, findings: Sequence[ColumnFinding]) -> Masking:
        """Returns what masks rows with the workspace's tokens."""
        home = self._home()
        return table_masking(home, policy_for(self.role, self._policy(home)), findings)

    def sealing_key(self) -> bytes:
        """Returns the key that seals what workers have seen."""
        from cloister.store.keys import open_keyring

        key = open_keyring(self._home()).index_key
        return hashlib.blake2b(key, digest_size=32, person=b"cloister-cluster").digest()

    def _home(self) -> Home:
        from cloister.store.home import Home, check_private

        home = Home(Path(self.home))
        check_private(home)  # never made here: a new home would have new keys
        return home

    def _policy(self, home: Home) -> Policy:
        from cloister.store.policy import load_policy

        policy = load_policy(home)
        if policy.digest != self.policy_digest:
            raise CloisterError(
                "A worker reads another policy than the command did.",
                code="CLO-CLUSTER-006",
                remedy="Let every worker reach the same CLOISTER_HOME, and run it again.",
            )
        return policy


def parts_at(source: Path) -> list[Part]:
    """Returns the parts of a file, or of the table files below a directory.

    Raises:
        CloisterError: There is nothing (``CLO-CLUSTER-007``), or it is standard input.
    """
    from cloister.detect.cluster import parts_of, table_files

    if source.is_dir():
        parts = parts_of(table_files(source), source)
    else:
        parts = parts_of([source], source.parent) if source.is_file() else []
    if not parts:
        raise CloisterError(
            f"There is no table at {source}.",
            code="CLO-CLUSTER-007",
            remedy="Name a table file, or a directory with some.",
        )
    return parts


def job_for(home: Home, policy: Policy, parts: Sequence[Part], role: str | None) -> WorkspaceJob:
    """Returns the job of some parts, with what the catalogue says about their files.

    A label that an owner lowered counts only if all files are of that one dataset.
    """
    from cloister.store.catalog import Catalog

    catalog = Catalog(home)
    found = {path: catalog.resolve(path) for path in dict.fromkeys(part.path for part in parts)}
    datasets = {d.name: d for d in found.values() if d is not None}
    is_one = len(datasets) == 1 and None not in found.values()
    rules = [
        rule
        for dataset in datasets.values()
        for rule in (dataset if is_one else dataset.without_lowering()).column_rules(policy.columns)
    ]
    if not is_one:
        rules.sort(key=lambda rule: -rule.level)  # the first that matches counts: the highest
    declared = (*rules, *policy.columns)
    return WorkspaceJob(str(home.root), policy.digest, declared, role)


def classify_parts_at(
    source: Path, home: Home, policy: Policy, workers: Workers, bars: Bars
) -> Classification:
    """Returns what a directory or a large file holds."""
    from cloister.detect.cluster import classify_parts

    parts = parts_at(source)
    job = job_for(home, policy, parts, None)
    return classify_parts(parts, job, workers.start(), progress=bars(f"Classifying {source.name}"))


def mask_parts_at(
    source: Path,
    target: Path,
    home: Home,
    policy: Policy,
    *,
    role: str | None,
    workers: Workers,
    bars: Bars,
) -> Classification:
    """Writes masked copies of a directory or a large file below a new directory."""
    from cloister.detect.cluster import classify_parts, mask_parts

    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise CloisterError(
            "OUT lies in IN.",
            code="CLO-INPUT-006",
            remedy="Choose another OUT; masked copies are no source.",
        )
    parts = parts_at(source)
    job = job_for(home, policy, parts, role)
    engine = workers.start()
    held = classify_parts(parts, job, engine, progress=bars(f"Classifying {source.name}"))
    mask_parts(parts, target, held.findings, job, engine, progress=bars(f"Masking {source.name}"))
    return held
