"""What the hooks know of the policy: how to show each level, and how columns are labelled.

The broker states it in its ``hello``. It is fetched when something is first shown, never at start,
and asked for again at most once a second, so that a policy made live in the middle of a session is
followed. Without a broker the strictest view holds: everything above public is redacted.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from cloister.core.entities import default_level
from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.core.masks import Mask, masks_from_dict
from cloister.core.policy import ColumnRule, Treatment, chosen_mask
from cloister.core.recognizers import (
    ALLOW_NOTHING,
    AllowList,
    RecognizerRule,
    allow_list_from_dict,
    recognizers_from_list,
)
from cloister.hooks.client import client

_log = logging.getLogger(__name__)

_REFRESH_S = 1.0
_HELLO_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class PolicyView:
    """The part of a policy that display needs.

    Attributes:
        name: The policy's name, for captions.
        digest: Changes when the policy does; ``""`` for the strict view.
        display: Treatment of each level.
        entities: Levels of entity types where the policy differs from the default.
        columns: Labels by column name; the first match counts.
        recognizers: Types that the admin adds, without deny lists: only the gate has those.
        allow_list: Values that are never sensitive.
        masks_by_type: Masks of entity types that have one of their own.
    """

    name: str
    digest: str
    display: dict[Level, Treatment]
    entities: dict[str, Level] = field(default_factory=dict)
    columns: tuple[ColumnRule, ...] = ()
    recognizers: tuple[RecognizerRule, ...] = ()
    allow_list: AllowList = ALLOW_NOTHING
    masks_by_type: dict[str, Mask] = field(default_factory=dict)

    def treatment(self, level: Level) -> Treatment:
        """Returns how a value of ``level`` is shown; a level that is not stated is redacted."""
        return self.display.get(level, Treatment.REDACT)

    def masks(self, level: Level) -> bool:
        """Returns whether a value of ``level`` is shown as anything but itself."""
        return self.treatment(level) is not Treatment.SHOW

    def mask_for(self, entity_type: str | None, level: Level) -> Mask:
        """Returns what stands in for values of a type and level."""
        return chosen_mask(self.masks_by_type, entity_type, self.treatment(level))

    def level_of(self, entity_type: str) -> Level:
        """Returns the level of an entity type: the policy's, else the default."""
        override = self.entities.get(entity_type)
        return default_level(entity_type) if override is None else override

    def column_rule(self, column: str) -> ColumnRule | None:
        """Returns the first rule that covers a column of this name."""
        return next((rule for rule in self.columns if rule.matches(column)), None)


#: Holds when no policy could be fetched: nothing above public is shown.
STRICT = PolicyView(
    name="unavailable",
    digest="",
    display={level: Treatment.REDACT for level in Level if level is not Level.PUBLIC}
    | {Level.PUBLIC: Treatment.SHOW},
)


def view_from_dict(data: dict[str, Any]) -> PolicyView:
    """Builds a view from the ``policy`` of a ``hello``.

    Raises:
        ValueError: A level or a treatment has no such name.
        KeyError: A part is missing.
    """
    display = {
        Level.parse(name): Treatment(treatment) for name, treatment in data["display"].items()
    }
    return PolicyView(
        name=str(data["name"]),
        digest=str(data["digest"]),
        display=display,
        entities={k: Level.parse(v) for k, v in (data.get("entities") or {}).items()},
        # Whatever is sent, a rule by name only raises here: an owner's lowering holds for one
        # dataset, and comes with the labels of a table that was read (``ColumnLabel.is_final``).
        columns=tuple(
            ColumnRule(str(c["id"]), str(c["match"]), Level.parse(c["level"]), c.get("entity"))
            for c in (data.get("columns") or [])
        ),
        recognizers=recognizers_from_list(data.get("recognizers") or ()),
        allow_list=allow_list_from_dict(data),
        masks_by_type=masks_from_dict(data.get("masks") or {}),
    )


class _Cache:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.view: PolicyView = STRICT
        self.asked_at = float("-inf")


_cache = _Cache()


def current_policy() -> PolicyView:
    """Returns the live policy view, at most a second old; :data:`STRICT` without a broker."""
    if time.monotonic() - _cache.asked_at < _REFRESH_S:
        return _cache.view
    with _cache.lock:
        if time.monotonic() - _cache.asked_at < _REFRESH_S:
            return _cache.view
        try:
            answer = client().call("hello", timeout_s=_HELLO_TIMEOUT_S)
            policy = answer["policy"]
            if policy.get("digest") != _cache.view.digest or not _cache.view.digest:
                _cache.view = view_from_dict(policy)
        except CloisterError as error:
            _log.warning("no policy from the broker (%s); redacting everything", error.code)
            _cache.view = STRICT
        except (KeyError, TypeError, ValueError, AttributeError):
            _log.warning("the broker's policy cannot be read; redacting everything")
            _cache.view = STRICT
        _cache.asked_at = time.monotonic()
        return _cache.view


def forget() -> None:
    """Makes the next display ask the broker again."""
    _cache.asked_at = float("-inf")
