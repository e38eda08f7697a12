"""The cases of the leak corpus: data, read and checked once.

The corpus lies beside the tests (``tests/leaks/corpus``) and, in an installed wheel, beside this
module. ``tests/leaks/README.md`` says how a case is written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from cloister.cli.drill.needs import first_missing
from cloister.core.errors import CloisterError
from cloister.core.modes import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

_HERE: Final = Path(__file__).resolve().parent
_IN_SOURCES: Final = _HERE.parents[3] / "tests" / "leaks" / "corpus"


class CorpusError(CloisterError):
    """The corpus is missing or not written as its schema says."""

    default_code = "CLO-DRILL-001"


class Outcome(Enum):
    """How a case ended; ``ERROR`` and ``SKIPPED`` say that it showed nothing."""

    BLOCKED = "blocked"
    MASKED = "masked"
    ALERTED = "alerted"
    LEAKED = "leaked"
    ERROR = "error"
    SKIPPED = "skipped"


class Carries(Enum):
    """What must not arrive."""

    VALUES = "values"
    SECRET = "secret"  # noqa: S105 - the name of a kind, no password
    CALL = "call"
    TRACE = "trace"
    POWER = "power"


class Unguarded(Enum):
    """What happens to a case in a kernel without a guard."""

    LEAKS = "leaks"
    REFUSED = "refused"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Request:
    """A message that the client sends after the cells."""

    type: str
    channel: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One way out of a kernel. The keys of ``corpus.schema.json``, where they are described."""

    id: str
    family: str
    title: str
    technique: str
    channel: str
    expect: Mapping[Mode, Outcome]
    code: str = ""
    then: tuple[str, ...] = ()
    clean: str | None = None
    until: str | None = None
    expressions: Mapping[str, str] | None = None
    answer: str | None = None
    requests: tuple[Request, ...] = ()
    visits: tuple[Mapping[str, Any], ...] = ()
    encoded: str | None = None
    carries: Carries = Carries.VALUES
    needs: tuple[str, ...] = ()
    quick: bool = True
    ends_kernel: bool = False
    control: str | None = None
    unguarded: Unguarded = Unguarded.LEAKS
    limit: str | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """The code that runs, cell by cell."""
        return ((self.code,) if self.code else ()) + self.then

    def missing(self, *, has_hooks: bool = True) -> str | None:
        """Returns the first of the case's needs that is not there, ``None`` when all are."""
        return first_missing(self.needs, has_hooks=has_hooks)


def corpus_directory() -> Path:
    """Returns where the corpus lies.

    Raises:
        CorpusError: It is not there.
    """
    for directory in (_HERE / "corpus", _IN_SOURCES):
        if directory.is_dir():
            return directory
    raise CorpusError(
        "The leak corpus is not part of this installation.",
        remedy="Install Cloister from its wheel, or in editable mode from its sources.",
    )


def load_corpus(directory: Path | None = None) -> tuple[Case, ...]:
    """Reads every family.

    Args:
        directory: Holds one ``<family>.yaml`` for each family; the installed corpus if left out.

    Raises:
        CorpusError: A file does not fit the schema, or an id is used twice.
    """
    cases: dict[str, Case] = {}
    for file in sorted((directory or corpus_directory()).glob("*.yaml")):
        for data in _read(file):
            case = _case(file.stem, data)
            if case.id in cases:
                raise CorpusError(f"Two cases of the corpus are called {case.id}.")
            cases[case.id] = case
    return tuple(cases.values())


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        document = yaml.safe_load(file.read_bytes())
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", -1) + 1
        raise CorpusError(f"{file.name} is not YAML (line {line}).") from None
    for problem in _validator().iter_errors(document):
        place = "/".join(map(str, problem.absolute_path))
        raise CorpusError(f"{file.name} does not fit the corpus schema at {place}.")
    return list(document)


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    schema = json.loads((_HERE / "corpus.schema.json").read_text("utf-8"))
    return Draft202012Validator(schema)


def _case(family: str, data: dict[str, Any]) -> Case:
    data = dict(data)
    expect = {Mode(mode): Outcome(outcome) for mode, outcome in data.pop("expect").items()}
    return Case(
        family=family,
        expect=expect,
        then=tuple(data.pop("then", ())),
        requests=tuple(
            Request(r["type"], r.get("channel", "shell"), r["content"])
            for r in data.pop("requests", ())
        ),
        visits=tuple(data.pop("visits", ())),
        needs=tuple(data.pop("needs", ())),
        carries=Carries(data.pop("carries", "values")),
        unguarded=Unguarded(data.pop("unguarded", "leaks")),
        **data,
    )
