# ruff: noqa: E501, RUF001 - sample texts stay whole, and odd characters are the point
"""What is found in text, where exactly, and that finding is stable under masking."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import pairwise

import pytest
from cloister.detect.folding import fold
from cloister.detect.mask import mask_text
from cloister.detect.text import Span, find_spans
from cloister.detect.tokens import Tokenizer
from hypothesis import given
from hypothesis import strategies as st

SSN = "219-09-9871"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"

FOUND = [
    ("mail maria.l+x@example.org, please", "EMAIL_ADDRESS", "maria.l+x@example.org"),
    ("Ends with me@example.co.uk.", "EMAIL_ADDRESS", "me@example.co.uk"),
    (f"ssn {SSN}", "US_SSN", SSN),
    ("no. 219 09 9871 was asked for", "US_SSN", "219 09 9871"),
    ("'ssn': 219099871}", "US_SSN", "219099871"),
    ("social security number is 219099871", "US_SSN", "219099871"),
    ("call +1 620 555 0166", "PHONE_NUMBER", "+1 620 555 0166"),
    ("+44 20 7946 0958 or", "PHONE_NUMBER", "+44 20 7946 0958"),
    ("Call back on (620) 555-0166 after 5", "PHONE_NUMBER", "(620) 555-0166"),
    ("620-555-0166", "PHONE_NUMBER", "620-555-0166"),
    ("Mobile: 0490 39 07 81", "PHONE_NUMBER", "0490 39 07 81"),
    ("Phone:\n030-0074321", "PHONE_NUMBER", "030-0074321"),
    ("please call me on 450 0840?", "PHONE_NUMBER", "450 0840"),
    ("pay 4111111111111111 now", "CREDIT_CARD", "4111111111111111"),
    ("pay 4111 1111 1111 1111 12/27", "CREDIT_CARD", "4111 1111 1111 1111"),
    ("2223-0031-2200-3222", "CREDIT_CARD", "2223-0031-2200-3222"),
    ("3782 822463 10005", "CREDIT_CARD", "3782 822463 10005"),
    ("[7 4111 1111 1111 1111]", "CREDIT_CARD", "4111 1111 1111 1111"),
    ("card 4000000000000000006", "CREDIT_CARD", "4000000000000000006"),
    ("IBAN DE89370400440532013000;", "IBAN_CODE", "DE89370400440532013000"),
    ("to DE89 3704 0044 0532 0130 00 today", "IBAN_CODE", "DE89 3704 0044 0532 0130 00"),
    ("gb29nwbk60161331926819", "IBAN_CODE", "gb29nwbk60161331926819"),
    ("from 159.64.161.89 user", "IP_ADDRESS", "159.64.161.89"),
    ("http://192.168.4.20:8080/x", "IP_ADDRESS", "192.168.4.20"),
    ("peer 2001:db8:85a3::8a2e:370:7334", "IP_ADDRESS", "2001:db8:85a3::8a2e:370:7334"),
    ("born 1954-05-07.", "DOB", "1954-05-07"),
    ("DOB: 12/18/1956", "DOB", "12/18/1956"),
    ("date_of_birth    1954-05-07", "DOB", "1954-05-07"),
    ("date of birth is 7 May 1954,", "DOB", "7 May 1954"),
    ("seen (MRN HV1102938), aged 4", "MEDICAL_RECORD", "HV1102938"),
    ("Mrs Lindqvist was reviewed", "PERSON", "Lindqvist"),
    ("mail to 1059 Laurel Ct, please", "STREET_ADDRESS", "1059 Laurel Ct"),
    ("AKIAIOSFODNN7EXAMPLE", "SECRET", "AKIAIOSFODNN7EXAMPLE"),
    ("T=ghp_Xzm41PB2qs353f2Huu6mXrxWUREVXXPHzGIz", "SECRET", "ghp_Xzm41PB2qs353f2Huu6mXrxWUREVXXPHzGIz"),
    ("xoxb-123456789012-abcdefGHIJ", "SECRET", "xoxb-123456789012-abcdefGHIJ"),
    ("sk-proj-abcDEF1234567890abcDEF12", "SECRET", "sk-proj-abcDEF1234567890abcDEF12"),
    (f"Bearer {JWT}", "SECRET", JWT),
    (f"key:\n{PEM}\ndone", "SECRET", PEM),
    ("password = 'hunter2!'", "SECRET", "hunter2!"),
    ('{"api_key": "abcd-efgh"}', "SECRET", "abcd-efgh"),
    ("my password is Tr0ub4dor&3 ok", "SECRET", "Tr0ub4dor&3"),
    ("postgresql://me:s3cret@db.example.com:5432/x", "SECRET", "s3cret"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "entity_type", "value"), FOUND, ids=[f[0][:24] for f in FOUND])
def test_finds_the_value_and_nothing_else(text, entity_type, value):
    start = text.index(value)
    spans = find_spans(text)
    assert [(s.start, s.end, s.entity_type) for s in spans] == [
        (start, start + len(value), entity_type)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "２１９-09-9871",
        "219\u201109\u20119871",
        "219\u00a009\u00a09871",
        "21\u200b9-09-98\u200d71",
        "é 219-09-9871 ü",
        "番号219-09-9871です",
        "\ud800 219-09-9871",
    ],
)
def test_strange_characters_hide_nothing_and_offsets_stay_true(text):
    (span,) = find_spans(text)
    assert span.entity_type == "US_SSN"
    assert text[span.start] in "2２"
    assert text[: span.start].rstrip("é番号\ud800 ") == ""
    assert text[span.end - 1] == "1"


@pytest.mark.parametrize("word", ["219-09-98712", "1219-09-9871", "x219-09-9871", "219-09-9871-4"])
def test_a_piece_of_something_longer_is_no_value(word):
    assert find_spans(word) == []


def test_spans_come_in_order_and_do_not_overlap():
    text = " ".join(reversed([f[0] for f in FOUND if "\n" not in f[0]]))
    spans = find_spans(text)
    assert len(spans) > 25
    assert all(a.end <= b.start for a, b in pairwise(spans))


def test_a_token_is_never_looked_into():
    text = f"ssn US_SSN~k3f7x2abqd EMAIL_ADDRESS~aaaaaaaaaa password=SECRET~k3f7x2abqd {SSN}"
    assert find_spans(text) == [Span(text.index(SSN), len(text), "US_SSN", 0.9)]


masks = st.sampled_from(["token", "redact", "partial"])


@given(st.lists(st.one_of(st.sampled_from([f[0] for f in FOUND]), st.text(max_size=20))), masks)
def test_masking_twice_is_masking_once(parts, mask):
    tokenizer = Tokenizer(b"t" * 32)

    def replace(span: Span, value: str) -> str:
        if mask == "token":
            return tokenizer.token(span.entity_type, value)
        return (
            f"[{span.entity_type}]" if mask == "redact" else f"[{span.entity_type} …{value[-4:]}]"
        )

    def once(text: str) -> str:
        return mask_text(text, find_spans(text), replace)

    masked = once(" \n ".join(parts))
    assert once(masked) == masked


@given(st.text())
def test_any_text_is_scanned_without_an_error_and_with_true_offsets(text):
    for span in find_spans(text):
        assert 0 <= span.start < span.end <= len(text)


@given(st.text("0123456789 -.+()@:/x", max_size=60))
def test_dense_digits_never_overlap(text):
    spans = find_spans(text)
    assert all(a.end <= b.start for a, b in pairwise(spans))


@pytest.mark.parametrize("filler", ["word and word\n", "x, ", "0 "])
@pytest.mark.parametrize("value", ["4111-1111-1111-1111", "ada.lovelace+notes@mail.example.org"])
def test_a_long_text_is_asked_in_blocks_and_no_value_is_cut_at_their_edges(filler, value):
    text = filler * (20_000 // len(filler))
    for place in (*range(4_000, 4_200, 7), *range(8_100, 8_260, 9), len(text) - 5):
        hidden = f"{text[:place]}\n{value}\n{text[place:]}"
        assert [hidden[s.start : s.end] for s in find_spans(hidden)] == [value]


def test_a_value_over_many_lines_is_found_from_the_block_where_it_begins():
    body = "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7" for _ in range(60))
    key = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----"
    for place in (4_050, 4_090, 8_180):
        text = "\n".join("a line of ordinary words" for _ in range(400))
        text = f"{text[:place]}\n{key}\n{text[place:]}"
        assert key in [text[s.start : s.end] for s in find_spans(text)]


@given(st.text("ab1 \u200b\u00ad\u2060\u00e9\u4e2d", max_size=60))
def test_characters_without_width_leave_every_other_one_in_its_place(text):
    plain, offsets = fold(text)
    places = [i if offsets is None else offsets[i] for i in range(len(plain) + 1)]
    assert places[-1] == len(text)
    assert [text[i] for i in places[:-1]] == [c for c in text if c not in "\u200b\u00ad\u2060"]


def test_hostile_repetition_takes_linear_time():
    for piece in ("1-", "a@", "4111 ", "1.", "password: ", "eyJ", "+1 ", "born ", "DE89 "):
        text = piece * (200_000 // len(piece))
        assert _seconds(lambda text=text: find_spans(text)) < 3.0, piece


def test_import_is_light():
    code = (
        "import sys; import cloister.detect.text, cloister.detect.exact;"
        "heavy = {'numpy', 'pyarrow', 'pandas', 're2', 'cryptography'} & sys.modules.keys();"
        "sys.exit(', '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
