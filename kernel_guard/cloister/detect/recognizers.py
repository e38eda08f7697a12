"""Runs the recognisers and the allow list that an admin has put in the policy.

They work in columns, in text and at the gate, on every output, so their patterns are RE2's: time
linear in the text whatever the pattern. Look-around and back-references, which RE2 lacks, are
refused by ``cloister policy check``. Otherwise a match means what it means in Presidio: case does
not count, a dot matches a line break, ``^`` and ``$`` match at lines, a deny list matches whole
words, and a context word nearby adds 0.35 to a score. A match counts from 0.4.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from cloister.core.errors import PolicyInvalid
from cloister.core.recognizers import ALLOW_NOTHING, AllowList, RecognizerRule
from cloister.detect.spans import Span, stand_ins, touches, without_overlaps

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The least score that counts, and what a context word adds; Presidio's numbers.
LEAST_SCORE: Final = 0.4
CONTEXT_SCORE: Final = 0.35
#: How far before and after a match a context word may stand.
CONTEXT_BEFORE_CHARS: Final = 60
CONTEXT_AFTER_CHARS: Final = 30

_FLAGS = "(?ims)"
_AUTOMATON_BYTES = 64 << 20
_SURROGATES = re.compile("[\ud800-\udfff]")


class States(Protocol):
    """What states recognisers: a policy, or the view of it that a kernel has."""

    @property
    def recognizers(self) -> tuple[RecognizerRule, ...]:
        """The rules that are enabled."""

    @property
    def allow_list(self) -> AllowList:
        """The values that are never sensitive."""


class _Matcher(NamedTuple):
    entity_type: str
    score: float
    pattern: Any  # RE2
    context: re.Pattern[str] | None
    is_whole_words: bool


class Recognizers:
    """An admin's recognisers, ready to run. Immutable, shared between threads, can be pickled.

    Args:
        rules: Recognisers of the policy.
        allow_list: Values that are never sensitive.

    Raises:
        PolicyInvalid: A pattern is not RE2's; ``cloister policy check`` would have said so.
    """

    __slots__ = ("_allowed", "_allowed_values", "_hints", "_matchers", "allow_list", "rules")

    def __init__(
        self, rules: tuple[RecognizerRule, ...] = (), allow_list: AllowList = ALLOW_NOTHING
    ) -> None:
        self.rules = rules
        self.allow_list = allow_list
        self._matchers = tuple(matcher for rule in rules for matcher in _matchers(rule))
        self._hints = _automaton(self._matchers) if self._matchers else None
        self._allowed_values: frozenset[str] = frozenset()
        self._allowed: tuple[Any, ...] = ()
        if allow_list.is_regex:
            self._allowed = tuple(
                _compile(v, f"allow_list[{i}]") for i, v in enumerate(allow_list.values)
            )
        else:
            self._allowed_values = frozenset(value.strip() for value in allow_list.values)

    @staticmethod
    def of(policy: States) -> Recognizers:
        """Returns the recognisers of a policy; the same object for the same statements."""
        if not policy.recognizers and not policy.allow_list.values:
            return EMPTY
        return _built(policy.recognizers, policy.allow_list)

    def __reduce__(self) -> tuple[Any, ...]:
        return _built, (self.rules, self.allow_list)

    def __hash__(self) -> int:
        return hash((self.rules, self.allow_list))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recognizers) and (self.rules, self.allow_list) == (
            other.rules,
            other.allow_list,
        )

    def __bool__(self) -> bool:
        return bool(self._matchers or self.allow_list.values)

    @property
    def entity_types(self) -> tuple[str, ...]:
        """The entity types that are looked for, each once."""
        return tuple(dict.fromkeys(m.entity_type for m in self._matchers))

    def find(self, text: str) -> list[Span]:
        """Returns the values in ``text``, in order and without overlaps.

        The text is searched as it is and, where it is not ASCII, once more with full-width
        digits, typographic dashes and characters without width made plain.
        """
        if self._hints is None or not text:
            return []
        claims = self._claims(_SURROGATES.sub("\ufffd", text))
        if not text.isascii():
            from cloister.detect.folding import fold

            plain, offsets = fold(text)
            for claim in self._claims(plain):
                start, end = claim.start, claim.end
                if offsets is not None:
                    start, end = offsets[start], offsets[end - 1] + 1
                claims.append(Span(start, end, claim.entity_type, claim.score))
        masked = stand_ins(text)
        return without_overlaps(
            [
                claim
                for claim in claims
                if not touches(masked, claim.start, claim.end)
                and not self.is_allowed(text[claim.start : claim.end])
            ]
        )

    def count(self, values: Sequence[str], *, name: str = "") -> dict[str, int]:
        """Returns how many of a column's values each entity type matches as a whole.

        Args:
            values: Values of the column.
            name: Its name, which is the context of every value.
        """
        hits: dict[str, int] = {}
        matchers = [m for m in self._matchers if _score(m, name.replace("_", " ")) >= LEAST_SCORE]
        if not matchers:
            return hits
        for value in values:
            text = _SURROGATES.sub("\ufffd", value.strip())
            if not text or self.is_allowed(text):
                continue
            for entity_type in {m.entity_type for m in matchers if m.pattern.fullmatch(text)}:
                hits[entity_type] = hits.get(entity_type, 0) + 1
        return hits

    def is_allowed(self, value: str) -> bool:
        """Returns whether the allow list says that a value is never sensitive."""
        if self._allowed_values:
            return value.strip() in self._allowed_values
        if not self._allowed:
            return False
        text = _SURROGATES.sub("\ufffd", value.strip())
        return any(pattern.fullmatch(text) for pattern in self._allowed)

    def without_allowed(self, text: str, spans: list[Span]) -> list[Span]:
        """Returns the spans whose values the allow list does not name."""
        if not self.allow_list.values:
            return spans
        return [span for span in spans if not self.is_allowed(text[span.start : span.end])]

    def _claims(self, text: str) -> list[Span]:
        if self._hints is None:
            return []
        claims: list[Span] = []
        for number in self._hints.Match(text) or ():
            matcher = self._matchers[number]
            for match in matcher.pattern.finditer(text):
                start, end = match.span()
                if start == end or (matcher.is_whole_words and not _is_whole(text, start, end)):
                    continue
                around = text[max(0, start - CONTEXT_BEFORE_CHARS) : end + CONTEXT_AFTER_CHARS]
                score = _score(matcher, around)
                if score >= LEAST_SCORE:
                    claims.append(Span(start, end, matcher.entity_type, score))
        return claims


def pattern_problem(regex: str) -> str | None:
    """Returns why RE2 refuses a pattern, or ``None`` when it accepts it."""
    try:
        _compile(regex, "")
    except PolicyInvalid as error:
        return error.message
    return None


def context_pattern(words: Sequence[str]) -> re.Pattern[str] | None:
    """Returns what finds one of some context words, as a word or as the start of one."""
    if not words:
        return None
    joined = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?i)(?<![^\W_])(?:{joined})")


def _score(matcher: _Matcher, around: str) -> float:
    if matcher.context is None or not matcher.context.search(around):
        return matcher.score
    return min(1.0, max(LEAST_SCORE, matcher.score + CONTEXT_SCORE))


def _is_whole(text: str, start: int, end: int) -> bool:
    """Returns whether no letter, digit or underscore joins a range to what stands beside it."""
    before, after = text[start - 1 : start], text[end : end + 1]
    return not any(c.isalnum() or c == "_" for c in before + after)


def _matchers(rule: RecognizerRule) -> list[_Matcher]:
    context = context_pattern(rule.context)
    matchers = [
        _Matcher(
            rule.entity_type,
            pattern.score,
            _compile(pattern.regex, f"{rule.id}.patterns[{number}].regex"),
            context,
            is_whole_words=False,
        )
        for number, pattern in enumerate(rule.patterns)
    ]
    if rule.deny_list:
        words = "|".join(_escape(word) for word in rule.deny_list)
        pattern = _compile(words, f"{rule.id}.deny_list", longest=True)
        matchers.append(
            _Matcher(rule.entity_type, rule.deny_list_score, pattern, context, is_whole_words=True)
        )
    return matchers


def _escape(words: str) -> str:
    """Returns a phrase as a pattern; its spaces match any run of spaces."""
    import re2

    return r"\s+".join(re2.escape(word) for word in words.split())


def _options(*, longest: bool = False) -> Any:
    import re2

    options = re2.Options()
    options.max_mem = _AUTOMATON_BYTES
    options.log_errors = False
    options.longest_match = longest
    return options


def _compile(regex: str, place: str, *, longest: bool = False) -> Any:
    import re2

    try:
        return re2.compile(_FLAGS + regex, _options(longest=longest))
    except re2.error as error:
        reason = error.args[0] if error.args else "it is not a pattern"
        if isinstance(reason, bytes):
            reason = reason.decode("utf-8", "replace")
        raise PolicyInvalid(
            f"The pattern {place} is refused: {reason}.",
            code="CLO-POLICY-001",
            remedy="Write it in RE2 syntax, without look-around and back-references.",
        ) from None


def _automaton(matchers: Sequence[_Matcher]) -> Any:
    """Returns what tells in one pass which matchers have a place in a text."""
    import re2

    hints = re2.Set.SearchSet(_options())
    for matcher in matchers:
        hints.Add(matcher.pattern.pattern)
    hints.Compile()
    return hints


@lru_cache(maxsize=16)
def _built(rules: tuple[RecognizerRule, ...], allow_list: AllowList) -> Recognizers:
    return Recognizers(rules, allow_list)


#: No recogniser and no allow list.
EMPTY: Final = Recognizers()
