"""Undoes reversible tokens for one kernel, where the policy says so, and records every question.

Only here does a key meet a token: kernels have no key. What is revealed goes back into the kernel,
which may compute with it; in an output it is a sensitive value like any other, and the gate knows
it before the answer leaves.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import RevealDenied
from cloister.detect.masking.sealed import entity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloister.core.policy import Policy
    from cloister.core.records import Json
    from cloister.detect.tokens import Tokenizer
    from cloister.sidecar.recorder import Recorder

MOST_TOKENS: Final = 10_000


class Reveals:
    """Answers ``reveal``.

    Args:
        policy: Returns the policy in force; its ``reveal`` rules decide.
        tokenizer: Has the key.
        recorder: Takes a record of each question before it is answered.
        observe: Adds values of a type to what the gate looks for.
        user: Whose kernel it is.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        tokenizer: Tokenizer,
        recorder: Recorder,
        observe: Callable[[str, list[str]], object],
        user: str,
    ) -> None:
        self._policy = policy
        self._tokenizer = tokenizer
        self._recorder = recorder
        self._observe = observe
        self._user = user

    def reveal(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answers ``reveal``: all tokens of a question, or none.

        Raises:
            RevealDenied: No rule covers this user and one of the types (``CLO-REVEAL-001``), a
                token was not made with this workspace's key (``CLO-REVEAL-002``), or the request
                holds something else (``CLO-REVEAL-003``).
            StoreUnavailable: The question cannot be recorded, so it is not answered.
        """
        tokens, entities = _tokens(request.get("tokens"))
        types = sorted(set(entities))
        policy = self._policy()
        rules = {name: policy.may_reveal(self._user, name) for name in types}
        denied = [name for name, rule in rules.items() if rule is None]
        if denied:
            self._record(tokens, entities, "block", "reveal")
            raise RevealDenied(
                f"No rule lets {self._user} undo tokens of type {', '.join(denied)}.",
                rule="reveal",
                remedy="Ask an admin for a rule under reveal: in the policy.",
            )
        values = [self._tokenizer.reveal(token) for token in tokens]
        rule = ", ".join(dict.fromkeys(found.id for found in rules.values() if found is not None))
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            self._record(tokens, entities, "block", "token")
            raise RevealDenied(
                f"{len(values) - len(known)} of {len(values)} tokens were not made with the key of "
                "this workspace.",
                code="CLO-REVEAL-002",
                remedy="Look for tokens that were cut, changed, or made in another workspace.",
            )
        self._record(tokens, entities, "allow", rule)
        for name in types:
            mine = [value for value, e in zip(known, entities, strict=True) if e == name]
            self._observe(name, mine)
        return {"values": known}

    def _record(
        self, tokens: Sequence[str], entities: Sequence[str], decision: str, rule: str
    ) -> None:
        counts: dict[str, Json] = dict(sorted(Counter(entities).items()))
        self._recorder.reveal(
            {
                "user": self._user,
                "decision": decision,
                "rule": rule,
                "entities": counts,
                "attested_by": "sidecar",
            },
            tokens,
        )


def _tokens(value: object) -> tuple[list[str], list[str]]:
    """Returns the tokens of a request and their types."""
    if isinstance(value, list) and len(value) <= MOST_TOKENS:
        tokens = [token for token in value if isinstance(token, str)]
        found = [entity_of(token) for token in tokens]
        entities = [name for name in found if name is not None and len(name) <= 40]
        if len(entities) == len(value):
            return tokens, entities
    raise RevealDenied(
        f"reveal takes a list of at most {MOST_TOKENS:,} reversible tokens (US_SSN~~…).",
        code="CLO-REVEAL-003",
        remedy="Only tokens of the mask reversible can be undone.",
    )
