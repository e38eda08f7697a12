"""The exact-match index: what it recognises, what it leaves alone, and what its file gives away."""

from __future__ import annotations

import threading
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from cloister.core.errors import CloisterError
from cloister.detect.exact import ExactIndex, IndexDamaged
from hypothesis import example, given, settings
from hypothesis import strategies as st

KEY = b"k" * 32
TODAY = date(2026, 11, 23)


def index_of(**values: list[str]) -> ExactIndex:
    index = ExactIndex(KEY, today=TODAY)
    for entity_type, texts in values.items():
        index.add(entity_type, texts)
    return index


def found(index: ExactIndex, text: str) -> list[str]:
    return [text[s.start : s.end] for s in index.find(text)]


NAMES = index_of(PERSON=["Maria Lindqvist", "José Álvarez Ruiz", "Anna B. Karlsson"])
NUMBERS = index_of(US_SSN=["219-09-9871", "084-31-3507"], CREDIT_CARD=["4111111111111111"])


@pytest.mark.parametrize(
    "text",
    [
        "Maria Lindqvist",
        "MARIA LINDQVIST",
        "maria\n      lindqvist",
        "Lindqvist, Maria",
        "maria_lindqvist",
        "'first': 'Maria', Maria-Lindqvist",
        "José Álvarez Ruiz",
        "JOSE\u0301 A\u0301LVAREZ RUIZ",
        "Ruiz, José Álvarez",
        "Karlsson, Anna B.",
        "Anna Karlsson",
    ],
)
def test_knows_a_name_in_every_usual_spelling(text):
    (span,) = NAMES.find(f"1 {text} 2")
    assert span.entity_type == "PERSON"
    assert span.score == 1.0


def test_offsets_are_those_of_the_original_text():
    text = "ﬁn Jose\u0301 A\u0301lvarez Ruiz."
    assert found(NAMES, text) == ["Jose\u0301 A\u0301lvarez Ruiz"]


@pytest.mark.parametrize("text", ["Maria", "Lindqvist", "Maria Karlsson", "xMaria Lindqvistx"])
def test_a_piece_of_a_name_is_not_the_name(text):
    assert NAMES.find(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "219099871",
        "219 09 9871",
        "219-09-9871",
        "219.09.9871",
        "219099871.0",
        "id:219099871,",
        "84313507",
        "\u0662\u0661\u0669\u0660\u0669\u0669\u0668\u0667\u0661",  # Arabic digits
        "\u0968\u0967\u096f-\u0966\u096f-\u096f\u096e\u096d\u0967",  # those of Devanagari
    ],
)
def test_knows_a_number_in_every_usual_spelling(text):
    assert len(NUMBERS.find(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "0.219099871",
        "219099871.5",
        "219.099871",
        "0.219 -09.9871",
        "219 -09 9871",
        "0.219099 -871.5",
        "[219, 09, 9871]",
        "219  09  9871",
        "219\n09\n9871",
        "219\t09\t9871",
        "[17 219 09 9871 4]",
        "2190998710",
        "x2190998710",
        "219099871-1234-4123-8123-123456789012"[1:],
    ],
)
def test_digits_that_only_stand_side_by_side_are_no_value(text):
    assert NUMBERS.find(text) == []


def test_a_long_number_is_known_among_others():
    assert found(NUMBERS, "7 4111 1111 1111 1111 9") == ["4111 1111 1111 1111"]
    assert found(NUMBERS, "4,111,111,111,111,111") == ["4,111,111,111,111,111"]


def test_telephone_numbers_are_known_without_their_country():
    index = index_of(PHONE_NUMBER=["+1 620 555 0166"])
    assert len(index.find("(620) 555-0166")) == 1
    assert len(index.find("16205550166")) == 1


def test_single_names_need_to_stand_alone_and_to_be_no_common_word():
    index = index_of(PERSON=["Grace", "Zainab", "Wei", "June"])
    assert found(index, "Grace, Zainab and Wei in June; zainab, wei") == ["Zainab", "Wei", "zainab"]
    assert found(index, "Zainab_x zainab.csv np.Zainab #Zainab") == []


def test_birth_dates_count_when_they_are_old_and_written_as_dates():
    index = index_of(DOB=["1954-05-07", "2019-01-01", "1984-03-12 00:00:00", "5/9/1961"])
    assert found(index, "1954-05-07 00:00, 2019-01-01") == ["1954-05-07"]
    assert len(index.find("1984-03-12T00:00:00")) == 1
    assert found(index, "on 5/9/1961.") == ["5/9/1961"]
    assert index.find("19540507 591961") == []


def test_common_and_short_values_are_not_indexed():
    values = ["true", "unknown", "A", "12345", "no", "", "   ", "--", "small", "null"]
    assert index_of(US_SSN=values, PERSON=values, UNKNOWN=values).find(" ".join(values)) == []


def test_long_values_are_known_by_their_pieces():
    index = index_of(
        STREET_ADDRESS=["Flat 4 The Old Mill 12 Long Riverside Lane Upper Harrow Vale 48118"]
    )
    assert index.find("see 12 Long Riverside Lane Upper Harrow Vale 48118")


def test_the_longest_of_two_values_wins():
    index = index_of(PERSON=["Maria Lindqvist", "Maria Lindqvist Okafor"])
    assert found(index, "Maria Lindqvist Okafor") == ["Maria Lindqvist Okafor"]


def test_a_token_is_never_looked_into():
    index = index_of(UNKNOWN=["k3f7x2abqd", "219-09-9871"])
    assert found(index, "US_SSN~k3f7x2abqd k3f7x2abqd 219-09-9871") == ["k3f7x2abqd", "219-09-9871"]


words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=5, max_size=9)


@given(
    st.lists(words, min_size=1, max_size=8),
    words,
    st.sampled_from([" ", "-", ", ", "\n", "_", " / "]),
)
def test_any_value_is_found_whatever_stands_between_its_words(tokens, other, separator):
    index = index_of(NOTE=[" ".join(tokens)])
    if len(index):  # a common word is not indexed
        assert found(index, f"{other}! {separator.join(tokens).upper()} !{other}")


@given(st.text(max_size=80), st.lists(st.text(max_size=12), max_size=5))
@example("İ\u0307ß ﬀ 219-09-9871", ["ﬀ"])
@settings(max_examples=200)
def test_any_text_and_any_values_give_true_offsets(text, values):
    index = index_of(PERSON=values, US_SSN=["219-09-9871"], DOB=values, PHONE_NUMBER=values)
    spans = index.find(text)
    assert all(0 <= s.start < s.end <= len(text) for s in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))


@given(st.integers(0, 400))
@settings(max_examples=30)
def test_a_value_is_found_wherever_a_long_text_is_cut(shift):
    text = "word " * (20_000 - 40) + "x" * shift + " Maria\n Lindqvist " + "word " * 25_000
    (span,) = NAMES.find(text)
    assert text[span.start : span.end] == "Maria\n Lindqvist"


def test_adding_counts_what_is_new():
    index = ExactIndex(KEY)
    assert index.add("US_SSN", ["219-09-9871"]) == 1
    assert index.add("US_SSN", ["219099871"]) == 0
    assert len(index) == 1


def test_save_and_load_keep_everything_and_merge_joins(tmp_path):
    path = tmp_path / "index"
    NAMES.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = ExactIndex.load(path, KEY)
    assert len(loaded) == len(NAMES)
    loaded.merge(NUMBERS)
    assert {s.entity_type for s in loaded.find("Maria Lindqvist 219-09-9871")} == {
        "PERSON",
        "US_SSN",
    }
    empty = ExactIndex(KEY)
    empty.save(path)
    assert len(ExactIndex.load(path, KEY)) == 0
    empty.merge(NAMES)
    assert len(empty) == len(NAMES)
    with pytest.raises(ValueError, match="different keys"):
        empty.merge(ExactIndex(b"o" * 32))


def test_a_stored_index_holds_no_value_and_opens_with_its_key_only(tmp_path):
    path = tmp_path / "index"
    NAMES.save(path)
    data = path.read_bytes()
    for text in (b"Maria", b"maria", b"lindqvist", b"PERSON"):
        assert text not in data
    assert NAMES._entries.sorted().tobytes()[:64] not in data
    with pytest.raises(IndexDamaged) as caught:
        ExactIndex.load(path, b"o" * 32)
    assert isinstance(caught.value, CloisterError)
    assert caught.value.code == "CLO-DETECT-004"


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=60)
def test_any_changed_byte_is_refused(tmp_path_factory, place, change):
    path = tmp_path_factory.mktemp("index") / "index"
    NUMBERS.save(path)
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= change
    path.write_bytes(data)
    with pytest.raises(IndexDamaged):
        ExactIndex.load(path, KEY)
    path.write_bytes(bytes(data[: place % len(data)]))
    with pytest.raises(IndexDamaged):
        ExactIndex.load(path, KEY)


def test_keys_give_unrelated_fingerprints():
    other = ExactIndex(b"o" * 32)
    other.add("US_SSN", ["219-09-9871"])
    mine = index_of(US_SSN=["219-09-9871"])
    assert mine._entries.sorted().tolist() != other._entries.sorted().tolist()


def test_one_writer_and_a_reader_agree():
    index = index_of(PERSON=["Maria Lindqvist"])
    missed: list[str] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            if not index.find("x Maria Lindqvist y"):
                missed.append("miss")

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(60):
        index.add("US_SSN", [f"{n:09d}" for n in range(100_000_000 + i * 50, 100_000_050 + i * 50)])
        # A text that was clean is looked at again when the index has grown.
        assert index.find(f"n {100_000_000 + i * 50}")
    stop.set()
    reader.join()
    assert missed == []


def test_few_chance_hits_in_a_page_of_numbers():
    rng = np.random.default_rng(7)
    index = ExactIndex(KEY)
    index.add("US_SSN", [f"{n:09d}" for n in rng.integers(10**7, 9 * 10**8, 500_000)])
    rows = "\n".join(" ".join(f"{v:.6f}" for v in row) for row in rng.normal(size=(1_500, 8)))
    assert index.find(rows) == []
    grid = np.array2string(rng.integers(0, 999, (1_200, 20)), threshold=10**6, max_line_width=200)
    # Chance: 500,000 of 900 million; a row counts only as a whole.
    assert len(index.find(grid)) <= 1


CUSTOMERS = [str(n) for n in range(1_000_000, 1_010_000)]


def test_numbers_of_which_there_are_many_count_among_their_like():
    index = index_of(CUSTOMER_ID=CUSTOMERS)
    assert found(index, "customer 1004711 called") == ["1004711"]
    assert found(index, "1,004,711 bytes") == ["1,004,711"]
    assert len(index.find(str(CUSTOMERS[50:90]))) == 40
    sizes = ", ".join(str(7_000_000 + 977 * n) for n in range(20))
    assert index.find(f"{sizes}, 1004711, {sizes}") == []
    assert index.find("GET /items/100 4711 in 10 04711") == []


def test_a_number_that_few_know_counts_alone():
    index = index_of(CUSTOMER_ID=CUSTOMERS, MEDICAL_RECORD=["1004711"])
    sizes = ", ".join(str(7_000_000 + 977 * n) for n in range(20))
    (span,) = index.find(f"{sizes}, 1004711, {sizes}")
    assert span.entity_type == "MEDICAL_RECORD"


@pytest.mark.parametrize("text", ["an 'A", "AN A", "a\nna", "aNa", "x+Ana/", "b/Ana"])
def test_a_short_name_is_one_word_written_as_one(text):
    index = index_of(PERSON=["Ana"])
    assert index.find(text) == []
    assert found(index, "n=Ana, ANA, A\u200bna") == ["Ana", "ANA", "A\u200bna"]


def test_plurals_of_common_words_are_common():
    assert index_of(PERSON=["Walls", "Banks"]).find("Walls and banks") == []
