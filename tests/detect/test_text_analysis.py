# ruff: noqa: E501, RUF001 - sample texts stay whole, and odd characters are the point
"""What a scan finds in prose, logs and rows: more than the hot path, and still no junk."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from cloister.detect.analysis import OVERLAP_CHARS, PIECE_CHARS, analyse
from cloister.detect.spans import Span
from cloister.detect.text import find_spans
from hypothesis import given, settings
from hypothesis import strategies as st


def found(text):
    return [(s.entity_type, text[s.start : s.end]) for s in analyse(text)]


HOT = [
    ("PASSPORT", "X1234567", "passport number: X1234567 issued"),
    ("DRIVER_LICENSE", "D1234-56789-01234", "my driver's license is D1234-56789-01234 ok"),
    ("PL_PESEL", "44051401359", "PESEL: 44051401359"),
    ("BR_CPF", "529.982.247-25", "ask 529.982.247-25 again"),
    ("ES_NIF", "12345678Z", "dni 12345678Z"),
    ("UK_NHS", "943 476 5919", "nhs number 943 476 5919"),
    ("IT_FISCAL_CODE", "RSSMRA85T10A562S", "fiscal RSSMRA85T10A562S"),
    ("UK_NINO", "AB 12 34 56 C", "NINO AB 12 34 56 C"),
    ("DE_TAX_ID", "36 574 261 809", "Steuer-ID: 36 574 261 809"),
    ("VIN", "1HGCM82633A004352", "VIN: 1HGCM82633A004352"),
    ("CH_AHV", "756.9217.0769.85", "756.9217.0769.85"),
    ("SE_PERSONNUMMER", "19811218-9876", "am 19811218-9876 fine"),
    ("MAC_ADDRESS", "3c:22:fb:9a:01:7e", "wlan0 ether 3c:22:fb:9a:01:7e up"),
    ("SECRET", "Sup3rS3cret!", "The password for the admin account is Sup3rS3cret!"),
    ("SECRET", "sunshine", "password is sunshine."),
    ("SECRET", "Tr0ub4dor&3", "Use password Tr0ub4dor&3 to log in"),
    ("SECRET", "4821", "my PIN is 4821"),
    ("SECRET", "Pa55w0rd", "Server=db;User Id=sa;Password=Pa55w0rd;"),
    ("SECRET", "S3cret99", "curl -u admin:S3cret99 https://x.example"),
    ("SECRET", "SK" + "a1" * 16, "twilio " + "SK" + "a1" * 16),
    ("SECRET", "123456789:AA" + "Fb3" * 11, "bot 123456789:AA" + "Fb3" * 11),
    ("SECRET", "9f86d081884c7d659a2feaa0c55ad015", "session_id=9f86d081884c7d659a2feaa0c55ad015"),
    ("SECRET", "k" * 43 + "A7/+" * 10 + "==", "AccountName=x;AccountKey=" + "k" * 43 + "A7/+" * 10 + "=="),
    ("SECRET", "hunter2", "logged in with pwd hunter2"),
    ("BANK_ACCOUNT", "12345678", "Account number: 12345678, sort"),
    ("BANK_ACCOUNT", "12-34-56", "sort code 12-34-56"),
    ("ABA_ROUTING_NUMBER", "021000021", "routing number 021000021"),
    ("BIC", "DEUTDEFF500", "BIC: DEUTDEFF500"),
    ("CVV", "123", "exp 12/27 cvv 123"),
    ("CARD_EXPIRY", "12/27", "exp 12/27 cvv 123"),
    ("CRYPTO", "0x" + "52908400098527886E0F" * 2, "to 0x" + "52908400098527886E0F" * 2),
    ("CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ("USERNAME", "plee", "from 159.64.161.89 user=plee"),
    ("USERNAME", "m_keller7", '{"username": "m_keller7"}'),
    ("PERSON", "Timothy Webb", '{"name": "Timothy Webb", "id": 3}'),
    ("PERSON", "Nowakowska-Quist", "patient: Nowakowska-Quist"),
    ("PERSON", "Sato", "Dear Sato,\nthank you"),
    ("PERSON", "Ines Quental", "Best regards,\nInes Quental"),
    ("PHONE_NUMBER", "020 7946 0958", "on 020 7946 0958 now"),
    ("PHONE_NUMBER", "+1 (212) 555 0123", "+1 (212) 555 0123"),
    ("PHONE_NUMBER", "(555) 123-4567 x12", "(555) 123-4567 x12"),
    ("STREET_ADDRESS", "Hauptstraße 12", "wohnt Hauptstraße 12"),
    ("STREET_ADDRESS", "P.O. Box 1234", "write to P.O. Box 1234, please"),
    ("DOB", "5th of May 1984", "born on the 5th of May 1984 in"),
    ("DOB", "3. März 1980", "geboren am 3. März 1980"),
    ("EMAIL_ADDRESS", "kim%40mail.example", "GET /v1/users?email=kim%40mail.example&page=2 404"),
    ("PHONE_NUMBER", "612 345 678", "con teléfono 612 345 678 y"),
    ("PHONE_NUMBER", "(11) 91234-5678", "celular (11) 91234-5678,"),
    ("PHONE_NUMBER", "0221 / 99 88 77 66", "Rückfragen: 0221 / 99 88 77 66."),
    ("PHONE_NUMBER", "03-1234-5678", "電話番号: 03-1234-5678"),
    ("DE_TAX_ID", "36 574 261 809", "Ihre Steuer-ID lautet 36 574 261 809."),
    ("FR_NIR", "1 85 05 78 006 084 91", "sécu : 1 85 05 78 006 084 91"),
    ("SECRET", "4821", "My PIN was reset to 4821."),
    ("SECRET", "$6$rounds=5000$saltsalt$D4IrlXatmP7rx3P3InaxBeoomnAihCKRVQAr/36eYJ9", "root:$6$rounds=5000$saltsalt$D4IrlXatmP7rx3P3InaxBeoomnAihCKRVQAr/36eYJ9:18921:0:"),
    ("SECRET", "f0e1d2c3b4a5968778695a4b3c2d1e0f", "twilio auth token f0e1d2c3b4a5968778695a4b3c2d1e0f"),
    ("SECRET", "kD8s7Gh2Lq0ZpXw4Vt6Bn1Mc3Ra5Yu9I", "spark.hadoop.fs.s3a.secret.key=kD8s7Gh2Lq0ZpXw4Vt6Bn1Mc3Ra5Yu9I"),
    ("SECRET", "N0t$oSecret", "mysql -h db -u reader -p'N0t$oSecret' shop"),
    ("STREET_ADDRESS", "8 bis rue des Lilas, 69003", "j'habite 8 bis rue des Lilas, 69003 chez"),
    ("STREET_ADDRESS", "Calle Mayor 12", "vive en Calle Mayor 12"),
    ("STREET_ADDRESS", "ul. Zamkowa 33", "mieszka ul. Zamkowa 33"),
    ("PERSON", "Okonjo", "<p>Dear Mr <b>Okonjo</b>,</p>"),
    ("PERSON", "Hyun-woo Seo", "Best,\nHyun-woo Seo\nSenior Analyst"),
    ("PERSON", "Annika", "Viele Grüße\nAnnika"),
    ("SECRET", "q9ZxT2LmN8vB4cY7kW1pR5sD3fG6hJ0aE", "aws configure set aws_secret_access_key q9ZxT2LmN8vB4cY7kW1pR5sD3fG6hJ0aE"),
    ("STREET_ADDRESS", "15 avenue Victor Hugo, 33000", "livré au 15 avenue Victor Hugo, 33000 demain"),
    ("VIN", "WVWZZZ1JZ3W386752", "VIN WVWZZZ1JZ3W386752"),
    ("DE_ID_CARD", "T220001293", "Ausweis-Nr. T220001293;"),
]  # fmt: skip


@pytest.mark.parametrize(("entity_type", "value", "text"), HOT, ids=[h[1][:20] for h in HOT])
def test_every_output_is_searched_for(entity_type, value, text):
    (span,) = [s for s in find_spans(text) if s.entity_type == entity_type]
    assert text[span.start : span.end] == value
    assert (entity_type, value) in found(text)


RICH = [
    ("USERNAME", "gmurphy", "sshd[7030]: Failed password for gmurphy from 217.117.110.108 port 2153"),
    ("USERNAME", "jwarren", '10.1.2.3 - jwarren [10/Oct/2024:13:55:36 +0000] "GET /x HTTP/1.1" 200 1'),
    ("USERNAME", "bibarra", "smtp:\n  host: mail.internal\n  username: bibarra\n  port: 25"),
    ("USERNAME", "okafor.b", "she is logged in as okafor.b on the ward"),
    ("UK_NHS", "943 476 5919", "   nhs_number  age\n0  943 476 5919   44"),
    ("STREET_ADDRESS", "210 Morales Islands", '<p class="addr">210 Morales Islands<br/>Tel: 1</p>'),
    ("STREET_ADDRESS", "boulevard de Labbé", "moved from boulevard de Labbé last month"),
    (
        "STREET_ADDRESS",
        "974 Via Roma 131\n> Apt. 425\n> Montafia\n> Italy 39767",
        "> Benito\n> 974 Via Roma 131\n> Apt. 425\n> Montafia\n> Italy 39767\n> bye",
    ),
    ("DOB", "1984", "born in 1984"),
    ("AGE", "47", "My brother just turned 47"),
    ("AGE", "45", "a 45-year-old teacher"),
    ("DATE_TIME", "March 5", "the meeting on March 5 with the team"),
    ("DATE_TIME", "1978", "It was founded in 1978. Since then"),
    ("DATE_TIME", "12 Jan 1999", "3,Joseph Henderson,12 Jan 1999,4.5"),
    ("URL", "https://a.example/x?y=1", "see (https://a.example/x?y=1)."),
    ("POSTCODE", "SW1A 1AA", "near SW1A 1AA there"),
    ("POSTCODE", "2200", "My zip code is 2200"),
    ("STREET_ADDRESS", "12 rue de la Paix, 75002 Paris", "au 12 rue de la Paix, 75002 Paris"),
    ("STREET_ADDRESS", "Calle Mayor 12", "vive en Calle Mayor 12"),
    ("STREET_ADDRESS", "4 Elm Street, Apt 5\nSpringfield, IL 62701", "to 4 Elm Street, Apt 5\nSpringfield, IL 62701"),
    ("PERSON", "Bryan Maclean", "Bryan Maclean's killers were sentenced"),
    ("PERSON", "Samantha", "Why is Samantha so impulsive?"),
    ("PERSON", "Ludwig van der Meer", "We met Ludwig van der Meer there"),
    ("LOCATION", "Estonia", "We moved here from Estonia"),
    ("LOCATION", "New Zealand", "living in New Zealand now"),
    ("LOCATION", "France", "France was great"),
    ("ORGANIZATION", "Pixia Corp", "I work for Pixia Corp."),
    ("NRP", "Norwegian", "a Norwegian film"),
    ("PHONE_NUMBER", "781 1704", "781 1704 office"),
    ("EMAIL_ADDRESS", "юля@пример.рф", "mail юля@пример.рф, please"),
    ("STREET_ADDRESS", "Corso Vittorio Emanuele 118", "spedire a: Corso Vittorio Emanuele 118; poi"),
    ("USERNAME", "hmueller", "Benutzername: hmueller\nKennwort vergessen"),
    ("PERSON", "Thabo Mokoena", "Ticket #48213 opened by Thabo Mokoena (he is 40)"),
    ("PHONE_NUMBER", "13812345678", "手机 13812345678"),
    ("PHONE_NUMBER", "8 916 123 45 67", "телефон: 8 916 123 45 67"),
    ("SECRET", "Sakura77!", "パスワードは Sakura77!"),
    ("STREET_ADDRESS", "59 rue de l'Abbaye, Reims, France", "59 rue de l'Abbaye, Reims, France\n10254,3"),
    ("MAC_ADDRESS", "46:28:d1:24:af:5e", "seen 46:28:d1:24:af:5e today"),
]  # fmt: skip


@pytest.mark.parametrize(("entity_type", "value", "text"), RICH, ids=[r[1][:20] for r in RICH])
def test_a_scan_finds_more_in_prose(entity_type, value, text):
    assert (entity_type, value) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "  user: root\n  login: admin\n  username: string\n  user: null",
        "Spring Boot and 12 Python Packages were updated, chapter 3 Views",
        "order 4382840714109516 shipped 2022-01-16 uuid b1eb9020-f826-45eb-9d5a-8945ece9b7d9",
        "accuracy = 678.7352, version 3.16.1, build 3068633293",
        "2026-11-23 07:00:59,123 INFO took 12345 ms pid 4567 at step 123456789",
        "epoch 3/10: loss 0.1234 accuracy 98.76% 1234567 rows in 12.5 s",
        "shape (1000, 2000) dtype float64 memory 228.9+ MB at 0x7f1e2d3c4b5a",
        "the password is required; passwords should have 8 characters; password -> hashed",
        "password sha256 hashing, expected 12/27 steps, security code review, exp 3",
        "pass: 12 of 15, tests pass - good1 run, token_ids=[101, 2023, 2003]",
        "patient_id     20000 non-null  int64, passport: required, license number 5 of 6",
        "Jan 16 10:11:12 host sshd[123]: session opened",
        "Mar  4 10:22:31 web01 systemd[1]: started; eta 0:00:00, eta 00:07:41",
        "git clone git@github.com:example/tools.git\nReceiving objects: 100% (312456/312456), done.",
        "auth token required, access token expired, api key is missing, secret key rotation policy",
        "reviewed by the Research Panel, signed by Release Manager Bot, assigned to Data Platform Team",
        "mysql --version; mysql -u root -p; portable 64 bit build; handy 12 tools; $5 and $6$ and $2b$",
        "time: 01 23 45, took: 0123 4567, phase: 01-02-2024, id: 0042-17",
        "Thanks, all!\nBest\nPython 3 and Pandas\n\nThank you!\nSupport",
        "part 01310-100, api_key = config.get_secret_value_12345(), access_token token_type_ids_2023",
        "rue 5, avenida, piazza: 3 matches; see rue.py line 12; contrada = 4",
        "in 2000 rows of the data, in 12 345 678 rows, $1 234 567.89",
        "df.user = df['name'].map(str); self.user=user, user=None, login(user='x')",
        "US_SSN~k3f7x2abqd PERSON~k3f7x2abqd [redacted] [PHONE_NUMBER …0166]",
    ],
)
def test_ordinary_output_has_nothing(text):
    assert found(text) == []


def test_what_is_known_has_precedence_over_what_is_guessed():
    text = "it says Estonia there"

    def known(searched):
        start = searched.index("Estonia")
        return [Span(start, start + 7, "PERSON", 0.5)]

    assert [s.entity_type for s in analyse(text, known=known)] == ["PERSON"]


def test_a_name_in_an_address_is_recognised_where_it_is_written():
    text = "from xelqa.vontrimp@mail.example, signed Xelqa"
    assert ("PERSON", "Xelqa") in found(text)


def test_a_long_text_is_searched_in_pieces_and_nothing_is_lost_at_their_edges():
    step = PIECE_CHARS - OVERLAP_CHARS
    filler = "lorem ipsum dolor "
    text = filler * (2 * PIECE_CHARS // len(filler))
    places = [10, step - 12, step + 5, PIECE_CHARS - 7, len(text) - 40]
    for place in places:
        text = text[:place] + " 219-09-9871 " + text[place + 13 :]
    spans = [s for s in analyse(text) if s.entity_type == "US_SSN"]
    assert [s.start for s in spans] == [place + 1 for place in places]
    assert {text[s.start : s.end] for s in spans} == {"219-09-9871"}


@settings(max_examples=60)
@given(st.lists(st.sampled_from([h[2] for h in HOT + RICH]) | st.text(max_size=20), max_size=6))
def test_spans_are_in_order_apart_and_inside(parts):
    text = " \u200b\n".join(parts)
    spans = analyse(text)
    assert all(0 <= s.start < s.end <= len(text) for s in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))


HOSTILE = {
    "one word": "A" * 30_000,
    "names": "Anna " * 6_000,
    "digits": "1" * 30_000,
    "numbers": "1 " * 15_000,
    "nulls": "\x00" * 30_000,
    "streets": "Anna Street " * 2_500,
    "right to left": "\u202e" + "שלום " * 6_000,
    "full width": "０１２ " * 6_000,
    "surrogates": "\ud83d" * 20_000,
    "addresses": "address is at 1 " * 2_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_odd_and_hostile_texts_end(text):
    started = time.perf_counter()
    analyse(text)
    assert time.perf_counter() - started < 20  # a guard against quadratic time, not a speed
