"""What the words of a column name propose, in a dozen languages, and how its values must then look.

The table is read from top to bottom; the first rule whose name matches and whose values agree
decides. The last words of a name count most: ``customer_name`` is a person and ``product_name`` is
not; ``email_verified``, ``phone_type`` and ``address_count`` are *about* what they name.
"""

# ruff: noqa: E501 - patterns of words read best unbroken

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

# What values must look like, as patterns that match a whole value (RE2, applied by Arrow).
ANY = r"(?s).*"
LETTERS = r"(?s).*\pL.*"
NAME = r"[\pL][\pL\pM .,'\x{2019}`\x{B4}()&/-]{0,80}\d{0,4}"
DATE = (
    r"(?i)\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[ T].*)?|\d{1,2}[-/. ]\d{1,2}[-/. ]\d{2,4}(?: .*)?"
    r"|\d{8}|\d{6}|\d{1,2}[- ]?[a-z]{3,9}[- ,]+\d{2,4}|[a-z]{3,9}\.? \d{1,2},? \d{4}"
    r"|\d{4}年\d{1,2}月\d{1,2}日"
)
CODE = r"[\pL\d][\pL\d ._/#-]{0,40}"
NUMBERED = r"(?s).*\d.*"
DIGITS_6_16 = r"\D{0,4}(?:\d\D{0,3}){6,16}(?:\D*\d{1,5})?"
MONEY = (
    r"[(+-]?\s?(?:[$€£¥₹]|[A-Z]{1,3}\s?\$?)?\s?-?\d[\d.,' ]*\)?(?:\s?(?:[$€£¥₹%k]|[A-Za-z]{2,3}))?"
)
PAY = r"(?s).*[\d<>].*"
CODED = r"(?s).*\pL.*|\d"
POSTAL = r"[\dA-Za-z〒][\dA-Za-z -]{1,10}"


@dataclass(frozen=True, slots=True)
class NameRule:
    """Names that propose an entity type.

    Attributes:
        entity_type: Presidio's name.
        names: Matches the words of a column name, searched.
        values: What a value must look like, as a pattern for the whole value.
        share: How large a share of the values must look like that.
        person_only: Whether the name counts only in a table about people (``amount``, ``id``).
        is_flag: Whether yes and no are values of this kind: ``hispanic``, ``disability``.
        is_person: Whether values are names of people, which dictionaries can confirm.
        needs_dictionary: Whether dictionaries have to: a ``name`` may be anything's.
    """

    entity_type: str
    names: re.Pattern[str]
    values: str = ANY
    share: float = 0.55
    person_only: bool = False
    is_flag: bool = False
    is_person: bool = False
    needs_dictionary: bool = False


# A name that ends so says something about what it names.
_ABOUT = """
    verified verification changed count counts length len type types typ required sent band valid validated
    population flag present exists missing enabled confirmed optin consent preference preferences pref method
    class category score format masked version quality template ratio status stat visible public hidden
    bucket indicator ind matched match known error errors hash checksum encoding label
    channel provider domain
"""
_ABOUT_END = re.compile(rf"\b(?:{'|'.join(_ABOUT.split())})$")
_ABOUT_START = re.compile(
    r"^(?:is|has|num|number of|count|n|no of|total number|nb|anzahl|pct|percent|flag|avg|share|ratio)\b"
)
# These end like that and are what they name.
_NOT_ABOUT = re.compile(
    r"\b(?:marital|civil|family|familien|relationship|blood|hiv|smoking|smoker|vaccination|disability|disabled|health|immigration|"
    r"citizenship|pregnancy|ethnic|race|racial|sex|gender)\b.*\b(?:status|type|class|category|group|band|label|indicator|ind|flag)$"
)
# These say yes or no, or more, about an illness or an origin.
_TELLS_FLAG = re.compile(r"\b(?:flag|present|status|ind|indicator|known)$")
# A key or a number of something, not the thing.
_KEY_END = re.compile(r"\b(?:id|ids|key|uuid|guid|pk|fk|no|num|number|nr|ref|reference|seq|index)$")
_NUMBERED: Final = frozenset(
    """
    BANK_ACCOUNT CREDIT_CARD DRIVER_LICENSE IBAN_CODE LICENSE_PLATE MEDICAL_RECORD NATIONAL_ID PASSPORT
    PERSON_ID PHONE_NUMBER SECRET TAX_ID USERNAME US_SSN
    """.split()  # noqa: SIM905 - quotes would hide the words
)
_AGGREGATE = re.compile(
    r"\b(?:county|comp|tract|area|census|neighbo(?:u)?rhood|median|mean|avg|average|per capita|national|regional|zip)\b"
)

_PEOPLE = (
    "patient|pt|customer|cust|client|person|people|employee|emp|contact|user|usr|member|doctor|physician|nurse|author|"
    "owner|holder|cardholder|guest|student|pupil|teacher|manager|mgr|player|passenger|applicant|spouse|mother|"
    "father|parent|child|next of kin|kin|borrower|insured|beneficiary|payee|payer|staff|worker|candidate|"
    "subscriber|buyer|seller|driver|participant|subject|resident|tenant|landlord|victim|vict|witness|reporter|"
    "respondent|caller|donor|recipient|receiver|sender|agent|rep|clinician|supervisor|claimant|adjuster|guardian|"
    "surgeon|attending|lawyer|attorney|judge|defendant|plaintiff|officer|composer|artist|actor|director|"
    "policy holder|account holder|card holder|household member|voter|citizen|visitor|attendee|reviewer|"
    "kunde|kunden|mitarbeiter|patienten|versicherter|cliente|clienti|empleado|dipendente|paziente|paciente|salarie|medecin|"
    "medico|arzt|klient|pracownik|pacjent|kund|anstalld|medlem|lid|klant|werknemer|titulaire|titular"
)
_ORGS = (
    r"company|companies|org|organi[sz]ation|organi[sz]acion|employer|merchant|supplier|vendor|agency|institution|"
    r"school|college|university|hospital|clinic|firm|firma|business|corporation|dealer|brand owner|insurer|"
    r"manufacturer|carrier|airline|publisher|department store|entreprise|empresa|azienda|unternehmen|bedrijf|foretag|"
    r"societe|arbeitgeber|employeur|verein|practice|facility|operator|studio|sponsor|payor|dba|charity|foundation|ministry"
)
_GIVEN = r"first|given|last|family|middle|maiden|fore|sur|birth|preferred|legal|full|nick|second"


def _rule(
    entity_type: str,
    names: str,
    values: str = ANY,
    share: float = 0.55,
    *,
    person_only: bool = False,
    is_flag: bool = False,
    is_person: bool = False,
    needs_dictionary: bool = False,
) -> NameRule:
    return NameRule(
        entity_type,
        re.compile(names),
        values,
        share,
        person_only,
        is_flag,
        is_person,
        needs_dictionary,
    )


_BIRTH = _rule(
    "DOB",
    r"\b(?:dob|d o b|birth ?dates?|date ?birth|birth ?day|date of birth|born(?: on)?|birth dt|dt birth|bdate|"
    r"date (?:de )?naissance|nee? le|geburts ?datum|geburts ?tag|geb ?datum|fecha (?:de )?nac(?:imiento)?|"
    r"data (?:di )?nascita|data (?:de )?nasc(?:imento)?|geboorte ?datum|data urodzenia|fodelse ?datum|fodselsdato|"
    r"syntymaaika)\b|^birth$|^geb$|生年月日|誕生日|出生日期|생년월일",
    DATE,
)

_NUMBERS: Final = (
    _rule(
        "US_SSN",
        r"\b(?:ssn|social security|soc sec|social sec)\b",
        r"\D{0,2}(?:[\dXx*]\D?){7,9}",
        0.5,
    ),
    _rule(
        "CVV", r"\b(?:cvv2?|cvc2?|csc|card verification|security code|card security)\b", r"\d{3,4}"
    ),
    _rule(
        "CARD_EXPIRY",
        r"\b(?:cc|card)\b.*\bexp|\bexp(?:iry|iration|ires)?\b.*\bcard\b|^exp(?:iry)?(?: date)?$",
        r"\d{1,2} ?[/-] ?\d{2,4}|\d{4}-\d{2}|\d{3,4}|[A-Za-z]{3}[ -]\d{2,4}",
    ),
    _rule(
        "CREDIT_CARD",
        r"\b(?:credit ?card|debit ?card|card (?:no|num|number|nr|pan)|cc ?(?:no|num|number)|ccn|pan|"
        r"primary account number|kreditkarten?(?: ?nummer)?|carte (?:bancaire|credit)|tarjeta)\b",
        r"(?:[\dXx*][ -]?){11,18}\d",
    ),
    _rule("IBAN_CODE", r"\biban\b", r"(?i)[a-z]{2}\d{2}[a-z0-9 -]{8,40}", 0.5),
    _rule(
        "BANK_ACCOUNT",
        r"\b(?:bank ?account|bank acct|account (?:no|num|number|nr|to|from)|acct(?: (?:no|num|number))?|sort code|bban|"
        r"konto(?: ?n(?:umme|ume)?r)?|clabe|numero (?:de )?(?:cuenta|compte|conta|conto)|cuenta bancaria|rekening(?: ?nummer)?|"
        r"nr konta|kontonummer)\b|口座番号",
        r"[\dA-Za-z][\dA-Za-z .-]{4,33}",
    ),
    _rule(
        "MEDICAL_RECORD",
        r"\b(?:mrn|medical record(?: (?:no|num|number|id))?|nhs(?: ?(?:no|num|number|id))?|"
        r"patient (?:number|no|nr)|health (?:card|insurance) (?:no|number|id)|hospital number|chart (?:no|number)|"
        r"medicare|medicaid)\b",
        r"(?s)(?:\D{0,8}\d){4,}.*",
    ),
    _rule(
        "PASSPORT",
        r"\b(?:pass(?:port|eport|aporte|aporto)|reise ?pass)(?: ?(?:no|num|number|nr|id|nummer))?\b|\bpaspoort\b|護照|パスポート",
        r"(?s)(?:\D{0,4}\d){5,}.*",
    ),
    _rule(
        "DRIVER_LICENSE",
        r"\b(?:driver'?s? ?licen[sc]e|driving licen[sc]e|dl (?:no|num|number)|licen[sc]e (?:no|num|number|id)|"
        r"fuhrerschein(?: ?nummer)?|permis (?:de )?conduire|licencia (?:de )?conducir|patente)\b",
        r"(?s)(?:[A-Za-z]{0,4}[ -]?\d){4,}.*",
    ),
    _rule("DRIVER_LICENSE", r"^drivers$", r"[A-Z]{1,3}[ -]?\d{5,}[\dA-Z]*"),
    _rule("NATIONAL_ID", r"\bpersonal (?:nummer|number|no)\b", r"\d{6,8}[-+ ]?\d{4,5}"),
    _rule(
        "PERSON_ID",
        r"\b(?:personal ?(?:nummer|nr|number)|staff (?:ref|no|nr|number)|payroll (?:no|id|number)|member (?:no|number|nr)|"
        r"matricola|matricule|matricula|badge (?:no|id|number)|anstallnings ?n(?:umme)?r|nr pracownika)\b",
        CODE,
    ),
    _rule(
        "NATIONAL_ID",
        r"\b(?:national ?(?:id|insurance|identity)(?: ?(?:no|num|number))?|ni ?(?:no|number)|nino|"
        r"birth number|personal ?(?:code|id no)|citizen (?:id|number)|identity (?:card|number|no|doc\w*)|"
        r"id card|id (?:no|number)|aadhaar|aadhar|dni|nie|nif|curp|cpf|cnp|bsn|pesel|rodne cislo|"
        r"codice fiscale|sozialversicherungs ?nummer|insee|hukou|rrn|nric|emirates id|personnummer|ausweis(?: ?n(?:umme)?r)?|"
        r"cedula|rut|numero (?:de )?identi\w+|nro documento|documento identidad|hetu|egn|oib|gov(?:ernmen)?t? ?id)\b|"
        r"身份证|マイナンバー|주민등록번호",
        NUMBERED,
    ),
    _rule(
        "TAX_ID",
        r"\b(?:tax ?(?:id|no|num|number|nr|payer|ref)|tin|itin|ein|fein|vat ?(?:id|no|number)|steuer ?(?:id|n(?:umme)?r)|"
        r"rfc|nip|partita iva|numero fiscal)\b",
        NUMBERED,
    ),
)

_CONTACT: Final = (
    _rule(
        "EMAIL_ADDRESS",
        r"\b(?:e ?mails?|mail(?: address)?|courriel|correo(?: electronico)?|e ?post|posta elettronica)\b|メール|邮箱|이메일",
        r"(?s).*@.*",
    ),
    _rule(
        "PHONE_NUMBER",
        r"\b(?:(?:tele)?phones?|tel|mobile|cell(?: ?phone)?|cellular|fax|telefax|telefon[oe]?(?: ?n(?:umme)?r)?|"
        r"telefoon(?: ?nummer)?|handy(?: ?nummer)?|movil|celular|msisdn|landline|whats ?app|portable|mobil(?: ?n(?:umme)?r)?|"
        r"mobiltelefon|komorka|cellulare|calling number|called number|contact (?:no|num|number)|"
        r"(?:caller|callee) (?:no|number)|ph (?:no|num|number))\b|\b(?:home|work|cell)phone\b|電話|电话|전화",
        DIGITS_6_16,
        0.5,
    ),
    _rule(
        "PHONE_NUMBER", r"\b(?:phone|tel|office)? ?ext(?:ension)?$|\bdurchwahl\b", r"[x#]?\d{2,6}"
    ),
    _rule(
        "IP_ADDRESS",
        r"\bip(?: ?v ?[46])?(?: ?addr(?:ess)?)?\b|^(?:client|source|src|remote|dest|dst)(?: ip| addr(?:ess)?)$",
        r"(?:\d{1,3}\.){3}\d{1,3}(?:[:/]\d+)?|[\da-fA-F]{0,4}(?::[\da-fA-F]{0,4}){2,7}(?:/\d+)?",
    ),
    _rule("POSTCODE", r"\bpin ?codes?\b", r"\d{6}|\d{3} \d{3}"),
    _rule("POSTCODE", r"\bcap\b", r"\d{5}"),
    _rule(
        "PASSWORD",
        r"\b(?:passwords?|passwd|pwd|pw|passphrase|mot (?:de )?passe|passwort|kennwort|contrasena|senha|haslo|losenord|"
        r"wachtwoord)\b|パスワード",
        r"\S{4,}",
    ),
    _rule(
        "SECRET",
        r"\b(?:pin(?: code)?|secrets?|api ?keys?|private key|access ?key|(?:\w+ ?)?tokens?|credentials?|otp|mfa seed|"
        r"security answer|client secret)\b",
        r"\S{4,}",
        0.7,
    ),
    _rule(
        "USERNAME",
        r"\b(?:user ?names?|login(?: ?(?:name|id))?|log ?on(?: name)?|screen ?name|nick ?name|handle|user ?login|"
        r"account name|usr|remote user|benutzer ?name|benutzer|utilisateur|usuario|utente|anvandar ?namn|gebruikers ?naam|"
        r"sam ?account ?name|uname|twitter|instagram|skype|github)\b|^e ?mails?(?: address)?$|^user$",
        r"@?[^\s@]{2,64}",
        0.8,
    ),
    _rule(
        "URL",
        r"\b(?:url|uri|web ?site|home ?page|web ?page|link|domain|site web|webseite|photo path|avatar|linkedin)\b",
        r"(?i)(?:https?://|www\.)\S+|(?:[a-z0-9-]+\.)+[a-z]{2,}(?:/\S*)?|(?s).*#https?:.*|.*\.html?\S*",
    ),
)

_ADDRESS: Final = (
    _rule(
        "STREET_ADDRESS",
        r"\b(?:street(?: ?(?:name|address|line))?|address(?: ?line)?(?: ?\d)?|addr(?: ?(?:line)?(?: ?\d)?)?|"
        r"(?:gatu ?|wohn ?|haus ?)?adress[eo]?n?|adres|strasse|straat|direccion|indirizzo|rue|calle|domicilio|domicile|"
        r"endereco|logradouro|ulica|gatu?a?|via|location address|residence)\b|住所|地址|주소",
        r"(?s).*\pL.*[ \d,.].*|\pL{4,}\d.*|\pL{5,}",
    ),
    _rule(
        "POSTCODE",
        r"\b(?:zip(?: ?codes?)?|post ?codes?|p code|pcode|postal(?: ?codes?)?|code postal|plz|post ?leit ?zahl|cep|cp|"
        r"kod pocztowy|codigo postal|post ?n(?:umme)?r|zip (?:4|5|9))\b|郵便番号|邮编|우편번호",
        POSTAL,
    ),
    _rule(
        "CITY",
        r"\b(?:city|town|ville|ort|(?:wohn|geburts|post|heimat) ?ort|stadt|ciudad|citta|cidade|municipality|municipio|"
        r"locality|village|suburb|commune|comune|miasto|stad|kommun|woon ?plaats|plaats|localidad|luogo|lieu|"
        r"birth ?place|place of birth|lugar)\b|市区町村|城市",
        LETTERS,
    ),
)

_PERSONS: Final = (
    _rule(
        "ORGANIZATION",
        rf"\b(?:{_ORGS})s?(?: (?:full|legal|short|trade|trading))?(?: (?:name|nom|nombre|nome|namn|naam))?$|"
        r"^(?:institution|employer|company|organi[sz]ation)\b.*name$|会社名|公司|회사",
        LETTERS,
    ),
    _rule(
        "PERSON",
        rf"^(?:(?:{_GIVEN}) ?names?|fname|lname|mname|given|initials?|middle initial|"
        r"mothers? maiden(?: name)?|maiden|first|last|"
        r"prenoms?|nom|noms?(?: (?:de )?(?:famille|complet|usage))?|vor ?name|nach ?name|familien ?name|"
        r"nombres?(?: completo| pila)?|apellidos?(?: paterno| materno)?|primer apellido|segundo apellido|nome(?: completo)?|"
        r"cognome|sobrenome|voor ?na(?:am|men)|achter ?naam|imie|imiona|nazwisko|for ?namn|efter ?namn|fornavn|etternavn|"
        r"etunimi|sukunimi|name (?:first|last|middle|full|given))(?: \d)?$"
        rf"|\b(?:{_PEOPLE})s?(?: (?:{_GIVEN}|full|real|display))? (?:names?|nom|nombre|nome|namn|naam)(?: \d)?$"
        rf"|\b(?:{_PEOPLE}) (?:first|last|given|surname|forename|full|fname|lname)$"
        rf"|\b(?:{_GIVEN}) ?names?\b|\bsur ?name\b|\bfull ?name\b|氏名|姓名|お?名前|フリガナ|ふりがな|성명|이름",
        NAME,
        is_person=True,
    ),
    _rule(
        "PERSON",
        r"^(?:\w+ )?(?:patient|physician|doctor|attending|nurse|surgeon|next of kin|kin|spouse|cardholder|card ?holder|"
        r"guardian|pupil|adjuster|claimant|account ?holder|policy ?holder|beneficiary|contact(?: person)?|emergency contact|"
        r"signed by|author|judge|owner|composer|artist|director|assignee|agent|teacher|supervisor|manager|"
        r"medecin(?: traitant)?|hausarzt|medico|reviewer|interviewer|witness|victim|suspect|tenant|landlord|recipient|sender|"
        r"payee|attendee|guest|player|passenger|sales ?(?:person|rep)|prepared by|approved by|created by|reported by|"
        r"requested by)$",
        NAME,
        0.7,
        is_person=True,
        needs_dictionary=True,
    ),
    _rule(
        "PERSON",
        r"^names?$|^(?:display|contact) name$",
        NAME,
        0.7,
        is_person=True,
        needs_dictionary=True,
    ),
)

_SPECIAL: Final = (
    _rule(
        "RACE_ETHNICITY",
        r"\b(?:race(?! (?:position|time|no|number|id|date|track|result|name|day|type|condition))|"
        r"ethnic(?:ity|ities)?(?: (?:group|origin|background))?|racial(?: group)?|descent|hispanic|latin[oax]|raca(?: cor)?|"
        r"etnia|ethnie|ethnische|tribe|caste|skin colou?r|herkunft)\b",
        CODED,
        is_flag=True,
    ),
    _rule(
        "RELIGION",
        r"\b(?:religions?|religious|religiao|faith|denomination|konfession|glaube|religione|wyznanie|creed|church(?: (?:member(?:ship)?|affiliation))?)\b",
        LETTERS,
        is_flag=True,
    ),
    _rule(
        "SEXUAL_ORIENTATION",
        r"\bsexual (?:orientation|preference|identity)\b|^orientation$|\borientacion sexual\b|\blgbt\w*\b",
        LETTERS,
        is_flag=True,
    ),
    _rule(
        "POLITICAL_VIEW",
        r"\b(?:political\w* ?(?:view|party|affiliation|leaning|orientation|opinion)?s?|party(?: affiliation| id| reg\w*)?|"
        r"voted? for|partei|parti politique)\b",
        LETTERS,
    ),
    _rule(
        "TRADE_UNION",
        r"\b(?:trade union|union (?:member(?:ship)?|name)|gewerkschaft|syndicat|sindicato)\b",
        is_flag=True,
    ),
    _rule(
        "MEDICAL",
        r"\b(?:diagnos[eio]s?(?: \w+)?|diagnostic[os]*|diagnosen?|dx(?: (?:desc\w*|code|\d))?|icd(?: ?(?:9|10))?(?: ?cm)?|"
        r"medications?(?: name)?|prescriptions?|allerg(?:y|ies|ia|ias|ie)|symptoms?|disease|illness|"
        r"medical (?:condition|history|notes?)|chief complaint|comorbidit\w+|disabilit(?:y|ies)|disabled|handicap|"
        r"blood (?:group|type|pressure)|groupe sanguin|blut ?gruppe|grupo sanguineo|gruppo sanguigno|hiv(?: status)?|"
        r"pregnan(?:t|cy|cies)|smok(?:er|ing)(?: status)?|vaccin\w+|immuni[sz]ation|pathology|lab (?:result|test)|surgery|"
        r"cause of death|death cause|mental health|medikament\w*|krankheit|choroba|genotype|biopsy|bmi|cholesterol|insulin|"
        r"heart (?:rate|disease)|hba1c|tumou?r\w*|cancer\w*|diabet\w+|hypertension)\b|診断|病名|诊断",
        is_flag=True,
    ),
    _rule(
        "MEDICAL",
        r"\b(?:conditions?|procedures?(?: (?:desc\w*|code|name))?|treatments?(?: \w+)?|drugs?(?: \w+)*|medicines?|"
        r"therap(?:y|ie|ia)|test results?|reason (?:code|description)|mutation|glucose|stroke|lek)\b",
        person_only=True,
        is_flag=True,
    ),
)

_TRAITS: Final = (
    _rule(
        "SALARY",
        r"\b(?:salar(?:y|ies|io|ie)|wages?|incomes?(?! tax)|compensation|commission(?: pct)?|(?:brutto|netto|jahres|monats)? ?gehalt|"
        r"einkommen|annual pay|(?:base|gross|net|hourly|monthly|weekly|daily|annual) ?(?:pay|rate|salary|wage|income|earnings)|"
        r"pay ?(?:rate|scale)|earnings|remuneration|bonus|ctc|sueldo|stipendio|salaire|revenu|renda|ordenado|wynagrodzenie|"
        r"pensja|(?:manads|ars|tim)? ?lon|loon|salaris|inkomen|inkomst)\b|年収|給与|工资|급여",
        PAY,
    ),
    _rule(
        "AGE",
        rf"^(?:(?:{_PEOPLE}) )?(?:age|alter|edad|eta|idade|wiek|alder|leeftijd|patient age)(?: (?:years|yrs|in years|at .*))?$|"
        r"年齢|年龄|나이",
        r"\d{1,3}(?:\.\d+)?|\d{1,3} ?[\x{2013}+-] ?\d{0,3}",
    ),
    _rule(
        "GENDER",
        rf"^(?:(?:{_PEOPLE}) )?(?:gender|sex|geschlecht|sexo|sesso|genero|genre|sexe|plec|kon|kjonn|geslacht)"
        r"(?: (?:code|desc))?$|\bgender\b|性別|性别|성별",
        r"[\pL\d][\pL /-]{0,30}",
    ),
    _rule(
        "MARITAL_STATUS",
        r"\b(?:marital(?: status)?|civil status|familien ?stand|estado civil|etat civil|stato civile|situation familiale|"
        r"stan cywilny|civilstand|burgerlijke (?:staat|stand)|relationship status)\b|婚姻",
    ),
    _rule(
        "COUNTRY",
        r"\b(?:country(?: full| name| code| iso)?|nation(?:ality)?|citizenship|land|pais|paese|pays|kraj|staatsangehorigkeit|"
        r"nationalite|nacionalidad|naturalidad)\b|国籍|国家",
        r"\pL[\pL .,'()&-]{1,60}",
    ),
    _rule(
        "REGION",
        r"^(?:state(?: full| name| code)?|st|(?:state )?province|region|county|bundes ?land|canton|kanton|departement|"
        r"provincia|estado|uf|wojewodztwo|lan|landkreis|oblast|prefecture|"
        r"(?:\w+ ){1,3}(?:region|state|province|county))(?: (?:code|name))?$|都道府県",
        r"\pL[\pL .'/-]{1,40}",
    ),
    _rule(
        "PHOTO",
        r"\b(?:photos?|picture|portrait|foto|headshot|face image|selfie|avatar image|mugshot)\b",
        r"(?s).{8,}",
    ),
    _rule(
        "LICENSE_PLATE",
        r"\b(?:licen[sc]e plate|number plate|plate(?: (?:no|number))?|registration (?:no|number|plate)|kenteken|kennzeichen|"
        r"immatriculation|targa|matricula vehiculo|placa|nr rejestracyjny)\b",
        r"(?i)[a-z0-9][a-z0-9 -]{3,11}",
    ),
    _rule(
        "PERSON_ID",
        rf"\b(?:{_PEOPLE})s? ?(?:id|ids|key|no|nr|num|number|code|ref|uuid|guid|identifier|nummer|hash)$|"
        r"^(?:uid|user|patient|respondent|participant|subject|member|identifiant)(?: ?\d)?$|"
        rf"^(?:id|identifiant|nr|numero|no|codigo|cod|code|kod) (?:de )?(?:{_PEOPLE})$|\breports to\b|"
        r"\b(?:respondent|response) ?id$|顧客番号|会員番号|社員番号|患者番号|客户号",
        CODE,
    ),
    _rule(
        "PERSON_ID",
        r"^(?:id|pid|key|uuid|guid|record id|external id|ref|respondent)$",
        CODE,
        0.8,
        person_only=True,
    ),
)

_MONEY: Final = (
    _rule(
        "FINANCIAL",
        r"\b(?:account balance|(?<!life )balance|loan amount|capital (?:gains?|loss)|payments?|claims?(?: amount)?|"
        r"monthly charges?|total charges?|credit limit|premiums?|debts?|deposits?|withdrawals?|reimburse\w*|rembourse\w*|"
        r"montant|saldo|solde|kontostand|kreditbetrag|billing amount|coverage|net worth|savings|mortgage|alimony|"
        r"donation amount|contribution|refund)\b",
        MONEY,
        0.8,
    ),
    _rule(
        "FINANCIAL",
        r"\b(?:amount|amt|total ?cost|charges?|cost of \w+|fees?|paid|betrag|importe|importo|valor|kwota|belopp|bedrag|"
        r"spend\w*|spent)\b",
        MONEY,
        0.8,
        person_only=True,
    ),
)

#: All rules, in order.
NAME_RULES: Final[tuple[NameRule, ...]] = (
    _BIRTH,
    *_NUMBERS,
    *_CONTACT,
    *_SPECIAL,
    *_PERSONS,
    *_ADDRESS,
    *_TRAITS,
    *_MONEY,
)

#: Words of a name that say that the values are dates, also where they are digits only.
DATE_WORDS: Final = re.compile(
    r"\b(?:dates?|dt|day|datum|data|fecha|time|timestamp|ts|datetime|on|at|since|from|until|valid|created|updated|modified|"
    r"dod|seit|am|le|desde|dia)\b|日$"
)
#: What values under such a name are, they are not people, also where they are called like some.
NOT_PEOPLE: Final = re.compile(
    r"\b(?:products?|items?|files?|paths?|brands?|categor\w+|status|species|models?|colou?rs?|titles?|films?|movies?|songs?|"
    r"albums?|tracks?|genres?|skus?|parts?|plans?|teams?|ships?|vessels?|planes?|streets?|projects?|tables?|columns?|"
    r"variables?|features?|types?|labels?|tags?|levels?|grades?|stations?|routes?|stops?|airports?|events?|tasks?|jobs?|"
    r"occupations?|positions?|departments?|dept|courses?|subjects?|books?|units?|words?|keywords?|queries|query|topics?|"
    r"codes?|hosts?|servers?|domains?|packages?|functions?|class(?:es)?|methods?|modules?)\b"
)
# Ends or begins with what says when something was done.
_WHEN = re.compile(
    r"\b(?:at|on|date|dt|time|datum|timestamp|ts)$|^(?:date|datum|data|fecha|time)\b|^do[dh]\b"
)


@lru_cache(maxsize=4096)
def rules_for(words: str) -> tuple[NameRule, ...]:
    """Returns the rules that a column name calls for, in order.

    Args:
        words: The name as :func:`cloister.detect.names.words_of` reads it.
    """
    if not words:
        return ()
    rules = [rule for rule in NAME_RULES if rule.names.search(words)]
    if _WHEN.search(words):  # when something happened to what it names
        rules = [rule for rule in rules if rule.entity_type in {"DOB", "CARD_EXPIRY"}]
    if (_ABOUT_END.search(words) and " " in words) or _ABOUT_START.search(words):
        keep = _NOT_ABOUT.search(words) is not None
        tells = _TELLS_FLAG.search(words) is not None or _ABOUT_END.search(words) is None
        rules = [rule for rule in rules if keep or (rule.is_flag and tells)]
    if _KEY_END.search(words):
        rules = [rule for rule in rules if rule.entity_type in _NUMBERED]
    if _AGGREGATE.search(words):
        rules = [rule for rule in rules if rule.entity_type not in {"SALARY", "FINANCIAL", "AGE"}]
    return tuple(rules)
