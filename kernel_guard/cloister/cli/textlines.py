"""``cloister classify --text``: what each line of a JSON Lines file holds, as soon as it is read.

Everything that Cloister knows is asked: the rules, what the policy adds, presidio-analyzer, and the
values of catalogued data. No value and no text is ever printed, also not in an error.
"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import click

from cloister.cli.output import say
from cloister.core.errors import CloisterError
from cloister.core.labels import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloister.core.policy import Policy
    from cloister.detect.spans import Span
    from cloister.store.home import Home

_STANDARD_INPUT: Final = Path("-")


def classify_texts(files: tuple[Path, ...], home: Home, policy: Policy, *, as_json: bool) -> bool:
    """Prints one line for each text; returns whether any holds something confidential.

    Args:
        files: JSON Lines with ``id`` and ``text``; ``-`` is standard input.
        home: The workspace.
        policy: The policy in force.
        as_json: Whether lines are JSON, for programs.

    Raises:
        CloisterError: A file cannot be read, or a line is no text (``CLO-INPUT-005``).
    """
    from cloister.detect.analysis import analyse
    from cloister.detect.recognizers import Recognizers
    from cloister.detect.second_opinion import second_opinion

    recognizers = Recognizers.of(policy)
    opinion = second_opinion(recognizers)
    if opinion.cannot_see:
        click.echo(opinion.cannot_see, err=True)
    known = _catalogued_values(home, policy)
    is_found = False
    for file in files:
        for identifier, text in _texts(file):
            spans = analyse(text, recognizers, opinion=opinion, known=known)
            is_found |= any(policy.level_of(s.entity_type) >= Level.CONFIDENTIAL for s in spans)
            _print(identifier, spans, as_json=as_json)
    return is_found


def _catalogued_values(home: Home, policy: Policy) -> Callable[[str], list[Span]] | None:
    """Returns what finds the sensitive values of catalogued data, or ``None`` without any."""
    from cloister.store.catalog import Catalog

    catalog = Catalog(home)
    datasets = catalog.list()
    if not datasets:
        return None
    from cloister.detect.exact import ExactIndex
    from cloister.detect.tablefile import is_table_file
    from cloister.sidecar.scan import Scanner
    from cloister.store.keys import open_keyring

    key = open_keyring(home).index_key
    index = ExactIndex(key)
    scanner = Scanner(home, key, policy, catalog, index)
    for dataset in datasets:
        path = Path(dataset.path)
        for file in sorted(path.rglob("*")) if path.is_dir() else (path,):
            if not file.is_file() or not is_table_file(file):
                continue
            try:
                scanner.scan(file)
            except (CloisterError, OSError) as error:
                code = error.code if isinstance(error, CloisterError) else type(error).__name__
                click.echo(
                    f"The values of dataset {dataset.name} are not all looked for ({code}).",
                    err=True,
                )
    return index.find if len(index) else None


def _print(identifier: object, spans: list[Span], *, as_json: bool) -> None:
    if as_json:
        line = {"id": identifier, "spans": [_span(span) for span in spans]}
        click.echo(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace"))
    else:
        places = ", ".join(f"{s.entity_type} {s.start}-{s.end} ({s.score:.2f})" for s in spans)
        say(f"{identifier}: {places or '-'}")


def _span(span: Span) -> dict[str, Any]:
    return {
        "start": span.start,
        "end": span.end,
        "entity_type": span.entity_type,
        "score": round(span.score, 3),
    }


def _texts(file: Path) -> Iterator[tuple[Any, str]]:
    """Yields id and text of each line.

    Raises:
        CloisterError: A line is not a JSON object with both (``CLO-INPUT-005``).
    """
    try:
        source: Any = nullcontext(sys.stdin.buffer) if file == _STANDARD_INPUT else file.open("rb")
        with source as stream:
            yield from _lines(stream, file)
    except OSError as error:
        raise CloisterError(
            f"{file} cannot be read ({type(error).__name__}).",
            code="CLO-INPUT-005",
            remedy="Check that the file exists and may be read.",
        ) from None


def _lines(stream: IO[bytes], file: Path) -> Iterator[tuple[Any, str]]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            # A byte order mark is allowed where files begin.
            item = json.loads(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
            identifier, text = item["id"], item["text"]
        except (ValueError, TypeError, KeyError, RecursionError):
            identifier, text = None, None
        if not isinstance(text, str):
            raise CloisterError(
                f"{file}, line {number}, is not a JSON object with id and text.",
                code="CLO-INPUT-005",
                remedy='Write one object a line: {"id": 1, "text": "..."}',
            )
        yield identifier, text
