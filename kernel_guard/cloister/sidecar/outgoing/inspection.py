"""The row of steps that each message from the kernel takes, and what comes of it.

What a step cannot read, what breaks it and what takes it too long does not leave, and its client is
told why. One such message is never a reason to end a session.
"""

from __future__ import annotations

import contextlib
import copy
import logging
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cloister.core.modes import Mode
from cloister.detect.markup import neutralise
from cloister.detect.widgets import calls_elsewhere
from cloister.sidecar.outgoing.buffers import mask_buffers
from cloister.sidecar.outgoing.deadline import TimeIsUp, time_limit
from cloister.sidecar.outgoing.display import mask_display
from cloister.sidecar.outgoing.enclave import NOTHING_PASSED, Gates, enclosed
from cloister.sidecar.outgoing.headers import clean_header
from cloister.sidecar.outgoing.passage import Passage, withhold
from cloister.sidecar.outgoing.recall import TAIL_CHARS, Recall, as_read
from cloister.sidecar.outgoing.withheld import Reason, Withheld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloister.sidecar.textguard import TextGuard
    from cloister.sidecar.wire import Message

logger = logging.getLogger(__name__)
_T = TypeVar("_T")

_STATES: Final = frozenset({"busy", "idle", "starting"})
_DISPLAYS: Final = frozenset({"display_data", "update_display_data", "execute_result"})
_COMMS: Final = frozenset({"comm_open", "comm_msg", "comm_close"})
_KNOWN: Final = (
    _DISPLAYS
    | _COMMS
    | {"stream", "error", "status", "clear_output", "execute_input", "debug_event", "input_request"}
    | {"shutdown_reply", "iopub_welcome"}
)
#: Of one message; more texts are a list, and are looked through as one.
_MOST_PLACES: Final = 50
_WIDGET_VIEW: Final = "application/vnd.jupyter.widget-view+json"
_MOST_WIDGETS: Final = 10_000


class Inspection:
    """Looks at everything that one kernel says. Runs in the main thread of a process.

    It remembers nothing by itself: whoever lets a passage leave tells :attr:`recall`.

    Args:
        guard: Masks text, and knows the policy.
        is_timed: Whether checks end at the policy's limit here; else somebody else ends them.
        passed: Says what one of the four gates has let out of an enclave.
    """

    def __init__(
        self, guard: TextGuard, *, is_timed: bool = True, passed: Gates = NOTHING_PASSED
    ) -> None:
        self._guard, self._is_timed, self._passed = guard, is_timed, passed
        self.recall = Recall(guard.find)
        self._withheld_comms: set[str] = set()

    def look_at(self, message: Message) -> Passage:
        """Masks a message in place, or makes it say why it was withheld."""
        message.header = clean_header(message.header)
        if not message.msg_type:
            return withhold(message, _UNKNOWN)  # no client could read it
        if message.msg_type == "status":
            state = message.content.get("execution_state")
            message.content = {"execution_state": state if state in _STATES else "busy"}
            message.metadata, message.buffers = {}, []
            return Passage()
        match self._guard.policy.mode:
            case Mode.GUARD:
                return self._guarded(message)
            case Mode.ENCLAVE:
                return enclosed(message, self._passed)
            case Mode.OBSERVE:
                return self._observed(message)

    def carefully(self, work: Callable[[], _T]) -> _T:
        """Returns what a check finds.

        Raises:
            Withheld: The check failed or took too long, so nothing is known of what it checked.
        """
        try:
            if not self._is_timed:
                return work()
            with time_limit(self._guard.policy.output.time_limit_s):
                return work()
        except Withheld:
            raise
        except TimeIsUp:
            raise Withheld(SLOW) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was checked
            # Its text may hold what was checked.
            logger.error("CLO-OUTPUT-005: %s while checking an output", type(error).__name__)
            raise Withheld(FAILED) from None

    def _guarded(self, message: Message) -> Passage:
        passage = Passage()
        try:
            self.carefully(lambda: self._mask(message, passage))
        except Withheld as withheld:
            opened = message.content.get("comm_id") if message.msg_type == "comm_open" else None
            passage = withhold(message, withheld.reason)
            passage.withheld_comm = str(opened or "")
        return passage

    def remember_withheld(self, comm_id: str) -> None:
        """Leaves views of a widget that stayed out of displays; its reason has been told."""
        if comm_id and len(self._withheld_comms) < _MOST_WIDGETS:
            self._withheld_comms.add(comm_id)

    def _leave_out_widget(self, data: dict[str, Any]) -> None:
        view = data.get(_WIDGET_VIEW)
        if isinstance(view, dict) and str(view.get("model_id")) in self._withheld_comms:
            del data[_WIDGET_VIEW]

    def _observed(self, message: Message) -> Passage:
        """Checks a copy: the message itself leaves as it is."""
        try:
            checked = self.carefully(lambda: copy.deepcopy(message))
        except Withheld:  # too deep to copy, so nothing is known of it; it leaves
            return Passage(is_observed=True)
        passage = self._guarded(checked)
        if passage.reason is not None:  # what it held, although it would not have left
            with contextlib.suppress(Withheld):
                self.carefully(lambda: self._guard.mask_json(message.content, passage.tally))
        is_changed = passage.reason is not None or _differs(message, checked)
        return Passage(
            passage.tally,
            is_observed=is_changed or bool(passage.tally),
            shown=passage.shown,
            fragments=passage.fragments,
        )

    def _mask(self, message: Message, passage: Passage) -> None:
        """Masks a message in place, and notes why a part of it was taken out."""
        kind, guard, content = message.msg_type, self._guard, message.content
        tally = passage.tally
        if kind not in _KNOWN and not kind.endswith("_reply"):
            raise Withheld(_UNKNOWN)
        if message.metadata:
            message.metadata = _as_object(guard.mask_json(message.metadata, tally))
            if not guard.policy.output.allows_scripts:
                message.metadata = neutralise("application/json", message.metadata).value
        rules = guard.policy.output
        if kind in _DISPLAYS or kind == "inspect_reply":
            data = _as_object(content.pop("data", None))
            content = _as_object(guard.mask_json(content, tally))
            content["data"] = mask_display(data, guard, rules, passage)
            self._leave_out_widget(content["data"])
            if content.get("metadata") and not rules.allows_scripts:
                content["metadata"] = neutralise("application/json", content["metadata"]).value
        else:
            content = _as_object(guard.mask_json(content, tally))
            if not rules.allows_scripts:
                _neutralise(kind, content)
        message.content = content
        if message.buffers:
            message.buffers = mask_buffers(message.buffers, guard, tally)
        self._compare(kind, content, passage)

    def _compare(self, kind: str, content: dict[str, Any], passage: Passage) -> None:
        """Withholds what completes a value whose beginning has left, and notes the rest."""
        texts = [as_read(text) for text in _shown(kind, content)]
        places = [as_read(text) for text in islice(_places(kind, content), _MOST_PLACES)]
        fits = any(self.recall.rest_of_value(text) for text in (*texts, *places)) or any(
            self.recall.joins(a, b) for a in texts for b in texts if a != b
        )
        if fits:
            raise Withheld(_PIECES)
        if texts and kind != "execute_reply":  # it says again what an error has said
            passage.shown = texts[0][-TAIL_CHARS:]
            places += [text for text in texts[1:] if text != texts[0]]
        # Only the ends of texts are remembered, and a page may be long.
        passage.fragments = [text[-TAIL_CHARS:] for text in places]


def _differs(message: Message, checked: Message) -> bool:
    """Returns whether guarding has changed a message; that it joins lines is no change."""
    content = message.content
    forms, after = content.get("data"), checked.content.get("data")
    if isinstance(forms, dict) and isinstance(after, dict):
        joined = {
            mime: "".join(form)
            if isinstance(form, list) and isinstance(after.get(mime), str)
            else form
            for mime, form in forms.items()
        }
        content = {**content, "data": joined}
    return (
        content != checked.content
        or message.metadata != checked.metadata
        or message.buffers != checked.buffers
    )


def _neutralise(kind: str, content: dict[str, Any]) -> None:
    """Makes what a client renders of a comm or of a reply unable to call out, in place.

    Raises:
        Withheld: A widget's code, or its picture, would come from elsewhere.
    """
    if kind in _COMMS and (content.get("data") or content.get("target_module")):
        state = _as_object(content.get("data")).get("state")
        if content.get("target_module") or calls_elsewhere(state):
            raise Withheld(_ELSEWHERE)
        if kind == "comm_open" and _as_object(state).get("_esm"):
            raise Withheld(_OWN_CODE)
        content["data"] = neutralise("application/json", content["data"]).value
    rendered = [*_as_list(content.get("payload"))]
    rendered += _as_object(content.get("user_expressions")).values()
    for part in rendered:
        if isinstance(part, dict) and isinstance(part.get("data"), dict):
            part["data"] = {m: neutralise(m, text).value for m, text in part["data"].items()}


def _shown(kind: str, content: dict[str, Any]) -> Iterator[str]:
    """Yields what a reader sees of a message, form by form."""
    if kind in _DISPLAYS or kind == "inspect_reply":
        for mime in ("text/plain", "text/html", "text/markdown", "text/latex"):
            if isinstance(text := content["data"].get(mime), str):
                yield text
    elif kind in {"error", "execute_reply", "input_request"}:
        for name in ("evalue", "prompt"):
            if isinstance(text := content.get(name), str):
                yield text


def _places(kind: str, content: dict[str, Any]) -> Iterator[str]:
    """Yields the texts that stand at places of their own: in a widget, in JSON, in a reply."""
    if kind in _COMMS:
        data = _as_object(content.get("data"))
        yield from _strings({key: item for key, item in data.items() if key != "method"})
    elif kind in _DISPLAYS:
        for form in content["data"].values():
            if not isinstance(form, str):
                yield from _strings(form)
    elif kind == "execute_reply":
        yield from _strings(content.get("user_expressions"))


def _strings(value: object, depth: int = 0) -> Iterator[str]:
    """Yields the short texts of a widget's state that are no names of its own machinery."""
    if isinstance(value, str):
        if not value.startswith("IPY_MODEL_"):
            yield value
    elif depth < 4 and isinstance(value, dict):
        for key, item in value.items():
            if not key.startswith("_"):
                yield from _strings(item, depth + 1)
    elif depth < 4 and isinstance(value, list):
        for item in value[:20]:
            yield from _strings(item, depth + 1)


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _as_object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


_ELSEWHERE: Final = Reason(
    "CLO-OUTPUT-009",
    "A widget was withheld: its code or its picture would come from another place",
    "output.scripts",
    "Use a widget that is installed, and give it the picture itself.",
)
_OWN_CODE: Final = Reason(
    "CLO-OUTPUT-009",
    "A widget was withheld: it brings code of its own, which would run in the browser, outside all "
    "walls",
    "output.scripts",
    "Use a widget of ipywidgets, or ask an admin whether output.scripts may be allow.",
)
_SHOW_LESS: Final = "Show less of it, or in another form."
SLOW: Final = Reason(
    "CLO-OUTPUT-005",
    "An output was withheld: checking it took too long",
    "output.time_limit_s",
    _SHOW_LESS,
)
FAILED: Final = Reason(
    "CLO-OUTPUT-005", "An output was withheld: checking it failed", "output", _SHOW_LESS
)
UNREADABLE: Final = Reason(
    "CLO-OUTPUT-005",
    "An output was withheld: it is too large or too deep to be checked",
    "output.message_bytes",
    _SHOW_LESS,
)
TOO_MUCH: Final = Reason(
    "CLO-OUTPUT-005",
    "An output was withheld: too much of what this kernel says is waiting to be checked",
    "output.time_limit_s",
    "Show less of it, or more slowly.",
)
_UNKNOWN: Final = Reason(
    "CLO-OUTPUT-006",
    "A message of a kind that no client asks for was withheld",
    "output",
    "Use the messages of the Jupyter protocol.",
)
_PIECES: Final = Reason(
    "CLO-OUTPUT-008",
    "An output was withheld: with what was shown before it makes a value that the policy masks",
    "display",
    "Show the value whole, and it is masked.",
)
