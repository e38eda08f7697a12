"""A sidecar with controls off: ``python weakened.py CONTROL[,CONTROL] SPEC``. Tests only."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def replace(place: Any, name: str, by: object) -> None:
    """Puts something else in the place of a part that must be there."""
    assert hasattr(place, name), f"{place.__name__} has no {name}: this switch needs another place"
    setattr(place, name, by)


def no_text() -> None:
    from cloister.sidecar import textguard

    replace(textguard.TextGuard, "find", lambda *_, **__: [])


def no_index() -> None:
    from cloister.detect import exact

    replace(exact.ExactIndex, "find", lambda *_, **__: [])


def no_patterns() -> None:
    from cloister.sidecar import textguard

    replace(textguard, "find_spans", lambda *_, **__: [])


def no_encodings() -> None:
    from cloister.detect.views import Decoded
    from cloister.sidecar import textguard

    replace(textguard, "decode", lambda *_, **__: Decoded())


def no_recall() -> None:
    from cloister.sidecar.outgoing.recall import Recall

    replace(Recall, "rest_of_value", lambda *_, **__: None)
    replace(Recall, "joins", lambda *_, **__: False)


def no_mime_types() -> None:
    from cloister.sidecar.outgoing import display, mimetypes

    known = mimetypes.kind_of
    replace(display, "kind_of", lambda mime, rules: known(mime, rules) or mimetypes.Kind.JSON)


def no_picture_parts() -> None:
    from cloister.sidecar.outgoing import pictures

    replace(pictures, "clean", lambda data: data)


def no_pixels() -> None:
    from cloister.sidecar.outgoing import pixels

    replace(pixels, "carried_text", lambda _data: "")


def no_enclosure() -> None:
    from cloister.sidecar.outgoing import inspection

    replace(inspection, "enclosed", lambda *_: inspection.Passage())


def no_high_water() -> None:
    from cloister.core.labels import Level
    from cloister.sidecar import highwater

    replace(highwater.HighWater, "level", lambda _self: Level.PUBLIC)


def no_volume() -> None:
    from cloister.sidecar import volume

    replace(volume.Volume, "charge", lambda *_, **__: volume._UNLIMITED)


def failing_text() -> None:
    """The analyser breaks: what it did not look at must not leave."""
    from cloister.sidecar import textguard

    works = textguard.TextGuard.mask_json

    def fail(self: textguard.TextGuard, value: Any, *rest: Any) -> Any:
        if isinstance(value, dict) and "status" in value:
            return works(self, value, *rest)  # replies, without which no client is ready
        raise RuntimeError("broken for a test")

    replace(textguard.TextGuard, "mask_json", fail)


def failing_at_a_word() -> None:
    """The analyser breaks at one word, wherever it stands."""
    from cloister.sidecar import textguard

    finds = textguard.TextGuard.find

    def find(self: textguard.TextGuard, text: str) -> Any:
        if "stumble" in text:
            raise RuntimeError(f"broken for a test at {text}")
        return finds(self, text)

    replace(textguard.TextGuard, "find", find)


def fails_open() -> None:
    """A check that breaks lets its output pass, as LiteLLM's does."""
    from cloister.sidecar.outgoing import inspection

    failing_text()
    replace(inspection.Inspection, "_guarded", lambda *_: inspection.Passage())


def no_allow_list() -> None:
    from cloister.core.decisions import Decision, Effect, EgressAnswer
    from cloister.sidecar.proxy import decider

    allowed = Decision(Effect.ALLOW, "test", "everything is allowed", "")
    replace(decider, "decide_use", lambda *_: EgressAnswer(allowed, None, would_block=False))


def no_private_addresses() -> None:
    from cloister.sidecar.proxy.decider import Decider

    replace(Decider, "may_reach", lambda *_: True)


def no_value_filter() -> None:
    from cloister.sidecar.proxy.filters import Leaving
    from cloister.sidecar.proxy.valuefilter import ValueFilter

    replace(ValueFilter, "head", lambda *_: None)
    replace(ValueFilter, "request", lambda _self, _exchange, body: Leaving(body))


def no_tls_inspection() -> None:
    from cloister.sidecar.proxy import decider

    def blind(*args: Any, **facts: Any) -> Any:
        return decider_grant(*args, **{**facts, "inspect": False, "scans": False})

    decider_grant = decider.Grant
    replace(decider, "Grant", blind)


def no_names() -> None:
    from cloister.sidecar.proxy.decider import Decider

    replace(Decider, "_check_name", lambda *_: None)


def no_record() -> None:
    from cloister.sidecar import recorder

    appends = recorder.Recorder.__init__

    def begin(self: Any, append: Any, *rest: Any) -> None:
        appends(self, lambda _records: None, *rest)

    replace(recorder.Recorder, "__init__", begin)


def no_signature() -> None:
    from cloister.sidecar import wire

    class Agrees:
        digest = staticmethod(wire.hmac.digest)
        compare_digest = staticmethod(lambda *_: True)

    replace(wire, "hmac", Agrees)


def no_token() -> None:
    from cloister.sidecar import broker

    class Agrees:
        compare_digest = staticmethod(lambda *_: True)

    replace(broker, "hmac", Agrees)


def no_redaction() -> None:
    from cloister.sidecar.llm import redaction

    replace(redaction.Redaction, "document", lambda _self, document: document)


def no_markup() -> None:
    from cloister.detect.markup import Neutral
    from cloister.sidecar.outgoing import display, inspection

    for module in (display, inspection):
        replace(module, "neutralise", lambda _mime, value: Neutral(value))


SWITCHES: dict[str, Callable[[], None]] = {
    "text": no_text,
    "index": no_index,
    "patterns": no_patterns,
    "encodings": no_encodings,
    "redaction": no_redaction,
    "markup": no_markup,
    "recall": no_recall,
    "mime-types": no_mime_types,
    "picture-parts": no_picture_parts,
    "pixels": no_pixels,
    "enclosure": no_enclosure,
    "high-water": no_high_water,
    "volume": no_volume,
    "failing-text": failing_text,
    "failing-at-a-word": failing_at_a_word,
    "fails-open": fails_open,
    "allow-list": no_allow_list,
    "private-addresses": no_private_addresses,
    "value-filter": no_value_filter,
    "tls-inspection": no_tls_inspection,
    "names": no_names,
    "record": no_record,
    "signature": no_signature,
    "token": no_token,
}

if __name__ == "__main__":
    from cloister.sidecar.__main__ import main

    controls, spec_file = sys.argv[1:]
    for control in controls.split(","):
        SWITCHES[control]()
    sys.exit(main(spec_file))
