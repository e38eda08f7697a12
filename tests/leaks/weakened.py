"""A sidecar with one control off: ``python weakened.py CONTROL SPEC``. Tests only."""

from __future__ import annotations

import sys
from collections.abc import Callable


def no_text() -> None:
    from cloister.sidecar import textguard

    textguard.TextGuard.find = lambda *_, **__: []


def no_index() -> None:
    from cloister.detect import exact

    exact.ExactIndex.find = lambda *_, **__: []


def no_patterns() -> None:
    from cloister.sidecar import textguard

    textguard.find_spans = lambda *_, **__: []


def no_encodings() -> None:
    from cloister.detect.views import Decoded
    from cloister.sidecar import textguard

    textguard.decode = lambda *_, **__: Decoded()


def no_redaction() -> None:
    from cloister.sidecar.llm import redaction

    redaction.Redaction.document = lambda _self, document: document


def no_markup() -> None:
    from cloister.detect.markup import Neutral
    from cloister.sidecar.outgoing import display, inspection

    display.neutralise = inspection.neutralise = lambda _mime, value: Neutral(value)


SWITCHES: dict[str, Callable[[], None]] = {
    "text": no_text,
    "index": no_index,
    "patterns": no_patterns,
    "encodings": no_encodings,
    "redaction": no_redaction,
    "markup": no_markup,
}

if __name__ == "__main__":
    from cloister.sidecar.__main__ import main

    control, spec_file = sys.argv[1:]
    SWITCHES[control]()
    sys.exit(main(spec_file))
