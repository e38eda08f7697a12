"""presidio-analyzer as a second opinion, off the hot path, with our precision fixes.

All of Presidio's pattern recognisers of every country run in one engine, with what the admin adds,
and with a model when there is one: a spaCy package that is installed, or the local model that
``CLOISTER_TEXT_MODEL`` names. Nothing is ever downloaded and the network is never used. Without a
model Presidio's engine makes no tokens, so its context words find nothing; here they are looked
for in the characters around a match instead. What its patterns take for a value counts when such a
word stands there, or when the way of writing and the check digits prove the type by themselves.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from cloister.detect.models import (
    MODEL_TYPES,
    MODEL_VARIABLE,
    Model,
    installed_model,
    nlp_engine,
    transformers_recognizer,
)
from cloister.detect.phones import is_possible, is_written_as_phone
from cloister.detect.rules import is_joined
from cloister.detect.spans import Span

if TYPE_CHECKING:
    from cloister.detect.recognizers import Recognizers

_NO_MODEL = (
    "Names, places and organisations in prose are found by dictionaries and by the words around "
    "them; names that are in no dictionary and stand without such words are not seen. Install a "
    "spaCy model (python -m spacy download en_core_web_lg), or set CLOISTER_TEXT_MODEL to a local "
    "model."
)

# Written in a way, and checked so well, that nothing else is needed.
_SELF_PROVING = frozenset(
    {"CRYPTO", "EMAIL_ADDRESS", "FI_PERSONAL_IDENTITY_CODE", "IBAN_CODE", "IT_FISCAL_CODE"}
)
# Dates and UUIDs fill ordinary output; the others are about companies, not about people.
_REFUSED_TEXT = """
    DATE_TIME UUID AU_ABN AU_ACN DE_HANDELSREGISTER DE_VAT_ID IN_GSTIN IT_VAT_CODE KR_BRN
    SE_ORGANISATIONSNUMMER SG_UEN ZA_COMPANY_REGISTRATION ZA_VAT_NUMBER
"""
_REFUSED = frozenset(_REFUSED_TEXT.split())
_SAME = {
    "UK_POSTCODE": "POSTCODE",
    "DE_PLZ": "POSTCODE",
    "CA_POSTAL_CODE": "POSTCODE",
    "ZA_MOBILE_NUMBER": "PHONE_NUMBER",
    "ZA_TELEPHONE_NUMBER": "PHONE_NUMBER",
    "US_DRIVER_LICENSE": "DRIVER_LICENSE",
    "US_BANK_NUMBER": "BANK_ACCOUNT",
}
# Context words of Presidio that stand in any text.
_EMPTY_WORDS_TEXT = """
    us united states id number no code check save document travel card name date national
    personal identity registration license licence police permit account# sa bank debit state
    city region address
"""
_EMPTY_WORDS = frozenset(_EMPTY_WORDS_TEXT.split())
# Some of Presidio's patterns take time in the square of the length; in pieces they cannot.
_PIECE_CHARS = 4_000
_OVERLAP_CHARS = 200
_BEFORE_CHARS = 48
_AFTER_CHARS = 24
_WITH_WORD = 0.55
_PROVEN = 0.7
_BY_MODEL = 0.52
_URL_SCHEME = re.compile(r"(?i)(?:[a-z]{2,6}://|www\.)")


class SecondOpinion:
    """Presidio's engine, built when it is first asked.

    Args:
        recognizers: What an admin adds; in Presidio's registry, too.
        model: A model for names, or ``None`` for patterns alone.
    """

    def __init__(self, recognizers: Recognizers | None = None, model: Model | None = None) -> None:
        self._recognizers = recognizers
        self.model = model
        self._engine: Any = None
        self._context: dict[str, re.Pattern[str]] = {}

    @property
    def cannot_see(self) -> str:
        """What is not found, in a sentence for people; empty when a model looks for names."""
        return _NO_MODEL if self.model is None else ""

    def find(self, text: str) -> list[Span]:
        """Returns what Presidio finds and our rules of precision let stand; places may overlap."""
        if not text.strip():
            return []
        if self._engine is None:
            self._engine = self._build()
        plain = text.encode("utf-8", "replace").decode("utf-8")
        language = self.model.language if self.model else "en"
        found: dict[Span, None] = {}
        for first in range(0, max(1, len(plain) - _OVERLAP_CHARS), _PIECE_CHARS - _OVERLAP_CHARS):
            piece = plain[first : first + _PIECE_CHARS]
            for result in self._engine.analyze(piece, language=language):
                is_cut = (first > 0 and result.start == 0) or (
                    result.end == len(piece) and first + len(piece) < len(plain)
                )
                span = None if is_cut else self._judge(piece, result)
                if span is not None:
                    whole = Span(first + span.start, first + span.end, span.entity_type, span.score)
                    found[whole] = None
        return list(found)

    def _judge(self, text: str, result: Any) -> Span | None:  # noqa: PLR0911 - one return for each reason
        """Returns what a result of Presidio is worth, or ``None``."""
        kind = _SAME.get(result.entity_type, result.entity_type)
        recognizer = str((result.recognition_metadata or {}).get("recognizer_name", ""))
        start, end = result.start, result.end
        if recognizer.startswith("cloister:"):
            return Span(start, end, kind, result.score)
        if recognizer in {"SpacyRecognizer", "HuggingFaceNerRecognizer"}:
            return _whole_words(text, start, end, kind) if kind in MODEL_TYPES else None
        if kind in _REFUSED or (is_joined(text, start, end) and kind != "EMAIL_ADDRESS"):
            return None
        value = text[start:end]
        if kind == "EMAIL_ADDRESS" and value.startswith("git@"):
            return None  # an address of a repository
        if kind == "PHONE_NUMBER":
            is_one = is_written_as_phone(text, start, end) and is_possible(value.strip())
            return Span(start, end, kind, _WITH_WORD) if is_one else None
        if kind == "URL":
            # "mail.example.org" in an address, "np.array" in code: a URL says that it is one.
            is_one = _URL_SCHEME.match(value) is not None and text[start - 1 : start] != "@"
            return Span(start, end, kind, _WITH_WORD) if is_one else None
        if kind in _SELF_PROVING and result.score >= 1.0:
            return Span(start, end, kind, _PROVEN)
        words = self._context.get(recognizer)
        around = f"{text[max(0, start - _BEFORE_CHARS) : start]} {text[end : end + _AFTER_CHARS]}"
        if words is None or words.search(around) is None:
            return None
        if sum(c.isdigit() for c in value) < 3:
            return None
        return Span(start, end, kind, _PROVEN if result.score >= 1.0 else _WITH_WORD)

    def _build(self) -> Any:
        logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

        language = self.model.language if self.model else "en"
        recognizers = _pattern_recognizers(language) + self._own(language)
        for recognizer in recognizers:
            words = _words(recognizer.context or [])
            if words is not None:
                self._context[recognizer.name] = words
        if self.model is not None and self.model.kind == "transformers":
            recognizers.append(transformers_recognizer(self.model))
        registry = RecognizerRegistry(recognizers, supported_languages=[language])
        engine = nlp_engine(self.model, language)
        if self.model is not None and self.model.kind == "spacy":
            registry.add_nlp_recognizer(engine)
        return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[language])

    def _own(self, language: str) -> list[Any]:
        from presidio_analyzer import Pattern, PatternRecognizer

        if self._recognizers is None:
            return []
        return [
            PatternRecognizer(
                supported_entity=rule.entity_type,
                name=f"cloister:{rule.id}",
                supported_language=language,
                patterns=[
                    Pattern(p.name or rule.name, p.regex, p.score)
                    for p in rule.patterns
                    if p.score >= 0.4 and _is_python(p.regex)
                ],
                deny_list=list(rule.deny_list),
                deny_list_score=rule.deny_list_score,
                context=list(rule.context),
            )
            for rule in self._recognizers.rules
            if rule.deny_list or any(p.score >= 0.4 and _is_python(p.regex) for p in rule.patterns)
        ]


def second_opinion(recognizers: Recognizers | None = None) -> SecondOpinion:
    """Returns the second opinion for some recognisers, with this machine's model.

    Raises:
        CloisterError: ``CLOISTER_TEXT_MODEL`` names no local model (``CLO-INPUT-020``).
    """
    model = installed_model(os.environ.get(MODEL_VARIABLE, ""))
    return _opinion(recognizers or None, model)


@lru_cache(maxsize=4)
def _opinion(recognizers: Recognizers | None, model: Model | None) -> SecondOpinion:
    return SecondOpinion(recognizers, model)


@cache
def _email_recognizer() -> Any:
    """Returns Presidio's class for addresses, made to never fetch the list of public suffixes."""
    import tldextract
    from presidio_analyzer.predefined_recognizers import EmailRecognizer

    extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    class OfflineEmailRecognizer(EmailRecognizer):  # type: ignore[misc] # Presidio is not typed
        def validate_result(self, pattern_text: str) -> bool:
            return bool(extract(pattern_text).suffix)

    return OfflineEmailRecognizer


def _pattern_recognizers(language: str) -> list[Any]:
    """Returns Presidio's recognisers that need no model, of all countries, for one language."""
    from presidio_analyzer import PatternRecognizer, predefined_recognizers

    found: list[Any] = []
    for name in sorted(dir(predefined_recognizers)):
        kind = getattr(predefined_recognizers, name)
        if not inspect.isclass(kind) or not name.endswith("Recognizer"):
            continue
        if not issubclass(kind, PatternRecognizer) and name != "PhoneRecognizer":
            continue
        if name == "InPanRecognizer":
            continue  # quadratic on text without capitals; ours is the same pattern, linear
        if name == "EmailRecognizer":
            kind = _email_recognizer()
        has_language = "supported_language" in inspect.signature(kind).parameters
        with contextlib.suppress(TypeError, ValueError):  # a base class, not a recogniser
            found.append(kind(supported_language=language) if has_language else kind())
    return found


def _whole_words(text: str, start: int, end: int, kind: str) -> Span | None:
    """Returns a model's claim, to the ends of its words: a model may see pieces of words.

    Scripts without upper and lower case may write no spaces, so there the model's word counts.
    """
    while start < end and not text[start].isalnum():
        start += 1
    while end > start and not text[end - 1].isalnum():
        end -= 1
    if start == end:
        return None
    while start and _is_cased(text[start - 1]):
        start -= 1
    while end < len(text) and _is_cased(text[end]):
        end += 1
    return Span(start, end, kind, _BY_MODEL)


def _is_cased(character: str) -> bool:
    return character.islower() or character.isupper()


def _words(context: list[str]) -> re.Pattern[str] | None:
    words = sorted({w.lower() for w in context} - _EMPTY_WORDS, key=len, reverse=True)
    if not words:
        return None
    return re.compile(rf"(?i)(?<!\w)(?:{'|'.join(map(re.escape, words))})s?(?!\w)")


def _is_python(regex: str) -> bool:
    r"""Returns whether a pattern of RE2 is one for Presidio's engine, too."""
    import regex as engine  # type: ignore[import-untyped] # published without types

    try:
        engine.compile(regex)
    except engine.error:
        return False
    return True
