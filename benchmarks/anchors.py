"""What Cloister is compared with, each as its users would call it and without a model.

presidio-analyzer looks at cells and texts, presidio-structured at a sample of a frame, and
detect-secrets at lines. None of them reaches the network here.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from labelled import Answer, Place, family

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNIQUE_VALUES: Final = 100  # presidio-analyzer sees this many of a column
STRUCTURED_ROWS: Final = 60  # presidio-structured sees this many of a table

#: detect-secrets' plugins, less those that judge by entropy alone: they flag nearly every line.
_BY_ENTROPY: Final = ("Base64HighEntropyString", "HexHighEntropyString")


class Presidio:
    """presidio-analyzer with its engine that has no model, and its default recognisers."""

    def __init__(self) -> None:
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import NoOpNlpEngine
        from tldextract import TLDExtract, tldextract

        # It would ask the network for the list of top-level domains that it also brings along.
        tldextract.TLD_EXTRACTOR = TLDExtract(suffix_list_urls=())
        logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
        engine = NoOpNlpEngine([{"lang_code": "en", "model_name": "no_op"}])
        engine.load()
        registry = RecognizerRegistry()
        registry.load_predefined_recognizers(languages=["en"], nlp_engine=engine)
        self.analyzer = AnalyzerEngine(
            registry=registry, nlp_engine=engine, supported_languages=["en"]
        )

    def column(self, name: str, values: Sequence[str]) -> Answer:
        """Returns what most of the values hold, ``NONE`` counted too; the name is context."""
        said: Counter[str | None] = Counter()
        for value in values:
            found = self.analyzer.analyze(value, language="en", context=_words(name))
            best = max(found, key=lambda result: result.score, default=None)
            said[None if best is None else best.entity_type] += 1
        return Answer(said.most_common(1)[0][0] if said else None)

    def text(self, text: str) -> list[Place]:
        """Returns what it finds in a text."""
        found = self.analyzer.analyze(text, language="en")
        return [Place(r.start, r.end, family(r.entity_type)) for r in found]


class PresidioStructured:
    """presidio-structured, which gives a column the entity that most of its cells have."""

    def __init__(self, presidio: Presidio) -> None:
        from presidio_structured import PandasAnalysisBuilder

        logging.getLogger("presidio-structured").setLevel(logging.ERROR)
        self._builder = PandasAnalysisBuilder(analyzer=presidio.analyzer)

    def table(self, frame: Any) -> dict[str, Answer]:
        """Returns an answer for each column in which it finds something."""
        analysis = self._builder.generate_analysis(
            frame.fillna("").astype(str),
            n=min(STRUCTURED_ROWS, len(frame)),
            selection_strategy="most_common",
        )
        return {name: Answer(entity) for name, entity in analysis.entity_mapping.items()}


@contextmanager
def detect_secrets() -> Iterator[DetectSecrets]:
    """Sets detect-secrets up; its settings are global, and are put back."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.settings import transient_settings

    plugins = sorted(p.__name__ for p in get_mapping_from_secret_type_to_class().values())
    used = [{"name": name} for name in plugins if name not in _BY_ENTROPY]
    with transient_settings({"plugins_used": used}):
        yield DetectSecrets()


class DetectSecrets:
    """detect-secrets' rules with a form or a keyword, line by line."""

    def text(self, text: str) -> list[Place]:
        """Returns the secrets in a text, each where it first stands in its line."""
        from detect_secrets.core.scan import scan_line

        places: dict[tuple[int, int], None] = {}
        start = 0
        for line in text.splitlines(keepends=True):
            for secret in scan_line(line):
                at = line.find(secret.secret_value or "\0")
                if at >= 0:
                    places[start + at, start + at + len(secret.secret_value)] = None
            start += len(line)
        return [Place(first, end, "SECRET") for first, end in places]


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name)]
