"""National numbers: every law agrees with python-stdnum, on right and on wrong check digits."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
from cloister.detect.values import ENTITY_LOOKS, NAMED_LOOKS, count_matches
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.exceptions import InvalidChecksum, ValidationError

DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HEX = "0123456789ABCDEF"
# Entity type, a word of its hint, python-stdnum's module, the body, what its last characters can be
# and how many they are. In a body # is a digit, @ a letter, and D, M, Y together are a date.
LAWS = [
    ("UK_NHS", "nhs", "gb.nhs", "#########", DIGITS, 1),
    ("ES_NIF", "nif", "es.dni", "########", LETTERS, 1),
    ("ES_NIF", "nif", "es.nie", "X#######", LETTERS, 1),
    ("ES_NIE", "nie", "es.nie", "Z#######", LETTERS, 1),
    ("TAX_ID", "cif", "es.cif", "B#######", DIGITS + "ABCDEFGHIJ", 1),
    ("IT_VAT_CODE", "partita iva", "it.iva", "#######001", DIGITS, 1),
    ("IT_FISCAL_CODE", "codice fiscale", "it.codicefiscale", "@@@@@@##A10H###", LETTERS, 1),
    ("PL_PESEL", "pesel", "pl.pesel", "YMD####", DIGITS, 1),
    ("TAX_ID", "nip", "pl.nip", "#########", DIGITS, 1),
    ("FI_PERSONAL_IDENTITY_CODE", "hetu", "fi.hetu", "DMY-###", HEX + "HJKLMNPRSTUVWXY", 1),
    ("SE_PERSONNUMMER", "personnummer", "se.personnummer", "YMD-###", DIGITS, 1),
    ("SE_PERSONNUMMER", "personnummer", "se.personnummer", "19YMD-###", DIGITS, 1),
    ("SE_ORGANISATIONSNUMMER", "organisationsnummer", "se.orgnr", "556######", DIGITS, 1),
    ("NATIONAL_ID", "fodselsnummer", "no.fodselsnummer", "DM50###", DIGITS, 2),
    ("NATIONAL_ID", "kennitala", "is_.kennitala", "DMY##", DIGITS, 2),
    ("DE_TAX_ID", "steuer id", "de.idnr", "123456781#", DIGITS, 1),
    ("NATIONAL_ID", "svnr", "at.vnr", "1###DM", DIGITS, 2),
    ("NATIONAL_ID", "ahv", "ch.ssn", "756#########", DIGITS, 1),
    ("NATIONAL_ID", "nir", "fr.nir", "1##0475###02", DIGITS, 3),
    ("NATIONAL_ID", "nir", "fr.nir", "2##042A###02", DIGITS, 3),
    ("NATIONAL_ID", "nir", "fr.nir", "2##042B###02", DIGITS, 3),
    ("NATIONAL_ID", "niss", "be.nn", "YMD0#", DIGITS, 3),
    ("NATIONAL_ID", "bsn", "nl.bsn", "########", DIGITS, 1),
    ("TAX_ID", "contribuinte", "pt.nif", "2#######", DIGITS, 1),
    ("NATIONAL_ID", "pps", "ie.pps", "#######", LETTERS, 1),
    ("NATIONAL_ID", "amka", "gr.amka", "DMY####", DIGITS, 1),
    ("NATIONAL_ID", "rodne cislo", "cz.rc", "YMD/###", DIGITS, 1),
    ("NATIONAL_ID", "cnp", "ro.cnp", "1YMD12###", DIGITS, 1),
    ("NATIONAL_ID", "egn", "bg.egn", "YMD###", DIGITS, 1),
    ("NATIONAL_ID", "isikukood", "ee.ik", "3YMD###", DIGITS, 1),
    ("NATIONAL_ID", "asmens kodas", "lt.asmens", "4YMD###", DIGITS, 1),
    ("NATIONAL_ID", "personas kods", "lv.pvn", "DMY1###", DIGITS, 1),
    ("NATIONAL_ID", "oib", "hr.oib", "##########", DIGITS, 1),
    ("NATIONAL_ID", "emso", "si.emso", "DM9##50###", DIGITS, 1),
    ("TR_NATIONAL_ID", "tckn", "tr.tckimlik", "1########", DIGITS, 2),
    ("TAX_ID", "inn", "ru.inn", "##########", DIGITS, 2),
    ("CA_SIN", "sin", "ca.sin", "1#######", DIGITS, 1),
    ("ROUTING", "routing", "us.rtn", "02######", DIGITS, 1),
    ("BR_CPF", "cpf", "br.cpf", "#########", DIGITS, 2),
    ("TAX_ID", "cnpj", "br.cnpj", "########0001", DIGITS, 2),
    ("NATIONAL_ID", "curp", "mx.curp", "XAXXYMDHTCRRR0", DIGITS, 1),
    ("TAX_ID", "cuit", "ar.cuit", "20########", DIGITS, 1),
    ("NATIONAL_ID", "rut", "cl.rut", "########-", DIGITS + "K", 1),
    ("NATIONAL_ID", "ci", "ec.ci", "171######", DIGITS, 1),
    ("IN_AADHAAR", "aadhaar", "in_.aadhaar", "2##########", DIGITS, 1),
    ("IN_VOTER", "epic", "in_.epic", "ABC######", DIGITS, 1),
    ("AU_TFN", "tfn", "au.tfn", "########", DIGITS, 1),
    ("AU_ABN", "abn", "au.abn", "5########", DIGITS, 2),
    ("AU_ACN", "acn", "au.acn", "########", DIGITS, 1),
    ("TAX_ID", "ird", "nz.ird", "10######", DIGITS, 1),
    ("TH_TNIN", "thai id", "th.pin", "1###########", DIGITS, 1),
    ("NATIONAL_ID", "resident id", "cn.ric", "1101051949123100", "0123456789X", 2),
    ("KR_RRN", "rrn", "kr.rrn", "YMD-1#####", DIGITS, 1),
    ("NATIONAL_ID", "my number", "jp.in_", "###########", DIGITS, 1),
    ("ZA_ID_NUMBER", "za id", "za.idnr", "YMD####08", DIGITS, 1),
    ("NATIONAL_ID", "teudat zehut", "il.idnr", "########", DIGITS, 1),
    ("isbn", "isbn", "isbn", "#########", "0123456789X", 1),
    ("gtin", "ean", "ean", "400#########", DIGITS, 1),
    ("IMEI", "imei", "imei", "35############", DIGITS, 1),
]


def look_of(entity_type, word):
    from cloister.detect.looks.goods import GOODS

    looks = (*ENTITY_LOOKS, *NAMED_LOOKS, *GOODS)
    return next(k for k in looks if k.name == entity_type and re.search(k.hint, word) and k.check)


def has(look, value):
    return count_matches([value], look.pattern) == 1 and look.check([value]) == 1


@st.composite
def bodies(draw, template):
    digit = st.sampled_from(DIGITS)
    parts = {
        "#": digit,
        "@": st.sampled_from("BCDFGLMNPRSTV"),
        "D": st.integers(1, 28).map("{:02d}".format),
        "M": st.integers(1, 12).map("{:02d}".format),
        "Y": st.integers(30, 99).map("{:02d}".format),
    }
    if "Y" not in template and "DM" not in template:
        parts = {"#": digit, "@": parts["@"]}
    return "".join(draw(parts[c]) if c in parts else c for c in template)


def endings(alphabet, count):
    if count == 3:  # two check digits and one that varies
        return [f"7{n:02d}" for n in range(100)]
    return [a + b for a in (alphabet if count == 2 else [""]) for b in alphabet]


@pytest.mark.parametrize("rule", LAWS, ids=[f"{law[2]} {law[3]}" for law in LAWS])
def test_law_agrees_with_stdnum(rule):
    entity_type, word, module, template, alphabet, count = rule
    look, validate = look_of(entity_type, word), import_module(f"stdnum.{module}").validate
    seen = {True: 0, False: 0}

    @settings(max_examples=12, database=None)
    @given(body=bodies(template))
    def agree(body):
        for ending in endings(alphabet, count):
            number = body + ending
            if len(set(re.sub(r"\W", "", number))) == 1:
                continue  # one digit over and over keeps some laws and is nobody's number
            try:
                validate(number)
            except InvalidChecksum:
                # stdnum knows which Belgians are not born yet; a law does not.
                assert not has(look, number) or module == "be.nn", number
                seen[False] += 1
            except ValidationError:
                continue  # a date or a place that does not exist
            else:
                assert has(look, number), number
                seen[True] += 1

    agree()
    assert seen[True]
    assert seen[False]


# Where python-stdnum has no rule, Presidio's recognisers have.
RECOGNIZERS = [
    ("AU_MEDICARE", "AuMedicareRecognizer", "2#######", DIGITS, 2),
    ("DE_HEALTH_INSURANCE", "DeHealthInsuranceRecognizer", "B########", DIGITS, 1),
    ("DE_SOCIAL_SECURITY", "DeSocialSecurityRecognizer", "15DMYB##", DIGITS, 1),
    ("KR_BRN", "KrBrnRecognizer", "#########", DIGITS, 1),
    ("MEDICAL_LICENSE", "MedicalLicenseRecognizer", "AB######", DIGITS, 1),
    ("US_NPI", "UsNpiRecognizer", "1########", DIGITS, 1),
]


@pytest.mark.parametrize(
    ("entity_type", "recognizer", "template", "alphabet", "count"),
    RECOGNIZERS,
    ids=[law[0] for law in RECOGNIZERS],
)
def test_law_agrees_with_presidio(entity_type, recognizer, template, alphabet, count):
    import presidio_analyzer.predefined_recognizers as presidio

    judge = getattr(presidio, recognizer)()
    look = next(k for k in ENTITY_LOOKS if k.name == entity_type)

    @settings(max_examples=12, database=None)
    @given(body=bodies(template))
    def agree(body):
        passing = 0
        for ending in endings(alphabet, count):
            number = body + ending
            if len(set(number)) > 1:
                is_right = bool(judge.validate_result(number))
                assert look.check([number]) == is_right, number
                passing += is_right
        assert passing <= 10

    agree()


@pytest.mark.parametrize(
    ("word", "right"),
    [
        ("nric", "S1234567D"),
        ("nric", "T1234567J"),
        ("nric", "F1234567N"),
        ("nric", "G1234567X"),
        ("nric", "M1234567K"),
        ("hkid", "A123456(3)"),
        ("shenfen zheng", "A123456789"),
    ],
)
def test_published_examples_pass_and_every_other_check_character_fails(word, right):
    look = next(k for k in ENTITY_LOOKS if re.search(k.hint or "$^", word) and has_shape(k, right))
    place = len(right.rstrip(")")) - 1
    others = DIGITS if right[place].isdigit() else LETTERS
    passing = [c for c in others if has(look, right[:place] + c + right[place + 1 :])]
    assert passing == [right[place]]


def has_shape(look, value):
    return count_matches([value], look.pattern) == 1
