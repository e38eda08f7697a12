"""The gate masks by the policy's kinds, and shows no piece of a value that stands there encoded."""

from __future__ import annotations

import base64

import pytest
from cloister.core.policy import policy_from_dict
from cloister.detect.exact import ExactIndex
from cloister.detect.tokens import Tokenizer
from cloister.sidecar.textguard import Tally, TextGuard

KEYS = Tokenizer(b"t" * 32, b"r" * 32)
SSN = "219-09-9871"


def guard(**masks):
    policy = policy_from_dict({"version": 1, "masks": masks}, "0" * 64)
    index = ExactIndex(b"i" * 32)
    index.add("US_SSN", [SSN])
    index.add("EMAIL_ADDRESS", ["maria@example.org"])
    return TextGuard(policy, KEYS, index)


def masked(text, **masks):
    tally = Tally()
    return guard(**masks).mask(text, tally)


@pytest.mark.parametrize(
    ("mask", "shown"),
    [
        ({"kind": "redact"}, "[US_SSN]"),
        ({"kind": "suppress"}, "[US_SSN]"),
        ({"kind": "token"}, KEYS.token("US_SSN", SSN)),
        ({"kind": "reversible"}, KEYS.reversible_tokens("US_SSN", [SSN])[0]),
        ({"kind": "partial", "last": 2}, "[US_SSN …71]"),
        ({"kind": "prefix", "length": 1}, "2…"),
        ({"kind": "shift", "subject": "x"}, "[US_SSN]"),
        ({"kind": "spans"}, "[US_SSN]"),
        ({"kind": "domain"}, "[US_SSN]"),
    ],
)
def test_a_value_in_a_text_has_the_mask_of_its_type(mask, shown):
    assert masked(f"ssn {SSN}, thanks", US_SSN=mask) == f"ssn {shown}, thanks"
    assert masked(masked(f"ssn {SSN}", US_SSN=mask), US_SSN=mask) == f"ssn {shown}"


def test_the_coarse_part_of_a_value_is_shown():
    text = "maria@example.org from 203.0.113.9"
    shown = masked(text, EMAIL_ADDRESS={"kind": "domain"}, IP_ADDRESS={"kind": "network"})
    assert shown == "@example.org from 203.0.113.x"


@pytest.mark.parametrize("kind", ["partial", "prefix"])
@pytest.mark.parametrize(
    "encoded",
    [
        SSN[::-1],
        base64.b64encode(f"ssn {SSN}".encode()).decode(),
        SSN.encode().hex(),
        " ".join(SSN),
    ],
)
def test_no_piece_of_an_encoded_value_is_shown(kind, encoded):
    shown = masked(f"see {encoded} there", US_SSN={"kind": kind})
    assert shown == "see [US_SSN] there"


def test_what_a_mask_shows_is_shown_again():
    masks = {"US_SSN": {"kind": "partial"}, "EMAIL_ADDRESS": {"kind": "domain"}}
    once = masked(f"{SSN} maria@example.org", **masks)
    assert masked(once, **masks) == once
