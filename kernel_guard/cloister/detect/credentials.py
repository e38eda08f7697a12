"""Rules for text: secrets that open something - keys, tokens, passwords.

Known key formats are found by their prefix. A password has no format, so it is found by what stands
before it, and only when what follows reads like a value: code that passes a variable on
(``password=password``, ``token=os.environ[...]``) holds no secret.
"""

from __future__ import annotations

import re
from collections import Counter
from math import log2
from typing import Final

from cloister.detect.rules import Rule, before

Range = tuple[int, int]

_PLACEHOLDER = re.compile(
    r"(?i)[*x.•_-]+|<.*>?|\{.*|\$.*|%.*|\[.*|none|null|true|false|nan|str|string|int|bool|bytes|"
    r"object|optional|required|redacted|hidden|secret|password|token|your[ _-].*"
)
_VALUE_AT_END = re.compile(
    r"['\"]?(?:[:=]>?|\s(?:is|was))\s*[bfru]?(['\"]?)(\S(?:.*\S)?)$", re.DOTALL
)
_VALUE_ENDS = re.compile(r"[\s'\",;)]|&(?=\w+=)")
_PEM_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_PEM_BODY = re.compile(r"(?:[A-Za-z0-9+/=]|\\n|\s)*")
_LONGEST_KEY_CHARS = 16_384


def _key(text: str, start: int, end: int) -> Range | None:
    if before(text, start) in {"-", "_"} or before(text, start).isalnum():
        return None
    value = text[start:end]
    # Words with dashes between them are no key.
    if value.startswith(("sk-", "rk_", "sk_")) and not (
        re.search(r"\d", value) and re.search(r"[A-Za-z0-9]{12}", value)
    ):
        return None
    return start, end


def _pem(text: str, start: int, end: int) -> Range:
    close = _PEM_END.search(text, end, end + _LONGEST_KEY_CHARS)
    if close is not None:
        return start, close.end()
    body = _PEM_BODY.match(text, end, min(len(text), end + _LONGEST_KEY_CHARS))
    return start, body.end() if body else end


def _assigned(text: str, start: int, end: int) -> Range | None:
    found = _VALUE_AT_END.search(text[start:end])
    if found is None:
        return None
    quote, value = found.groups()
    first = start + found.start(2)
    if quote:
        value = value.partition(quote)[0]
        is_value = len(value) >= 4
    else:
        value = _VALUE_ENDS.split(value, maxsplit=1)[0].rstrip(".")
        is_value = _reads_like_password(value, text[first + len(value) : first + len(value) + 1])
    if not is_value or _PLACEHOLDER.fullmatch(value):
        return None
    return first, first + len(value)


def _reads_like_password(value: str, following: str) -> bool:
    """Returns whether an unquoted value is more likely a secret than a name in code or a path."""
    if len(value) < 6 or re.search(r"[(\[{<>]", value) or following in {"(", "["}:
        return False
    if re.fullmatch(r"[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)+", value) or value.startswith(
        ("/", "~", "./")
    ):
        return False
    if re.fullmatch(r"[\d.,:eE+-]+", value):
        return False
    has_letter = re.search(r"[A-Za-z]", value)
    return bool(has_letter and re.search(r"[\d!@#$%^&*?+=~]", value))


_LEAST_ENTROPY_BITS = 3.0


def _entropy(value: str) -> float:
    """Returns the Shannon entropy of a value's characters, in bits each."""
    counts = Counter(value)
    return -sum(n / len(value) * log2(n / len(value)) for n in counts.values())


def _random(text: str, start: int, end: int) -> Range | None:
    """Claims an assigned value that no person would make up: long, mixed, without words."""
    place = _assigned(text, start, end)
    if place is None:
        return None
    value = text[slice(*place)]
    digits, letters = sum(c.isdigit() for c in value), sum(c.isalpha() for c in value)
    parts = re.split(r"[-_./:]", value)
    are_words = all(p.isalpha() or len(p) <= 4 for p in parts)
    is_mixed = digits >= 2 and letters >= 4 and not are_words
    return place if is_mixed and _entropy(value) >= _LEAST_ENTROPY_BITS else None


def _after_equals(text: str, start: int, end: int) -> Range:
    return text.index("=", start) + 1, end


_SAID_AT_END = re.compile(r"(['\"`\u201c]?)(\S+)$")
# What a password is said to be without being told: "the password is required".
_SAID_OF_PASSWORDS_TEXT = """
    a about accepted already also always an and at available being by case case-sensitive
    changed compromised correct denied disabled empty enabled encrypted expired for forgotten
    from generated hashed her here hidden his in incorrect invalid it mandatory missing my
    needed never no not now on only optional or our protected ready rejected required reset safe
    same secure sent set something stored strong that the their there this to too unknown
    updated used very visible wanted weak with wrong your
"""
_SAID_OF_PASSWORDS = frozenset(_SAID_OF_PASSWORDS_TEXT.split())


def _said(text: str, start: int, end: int) -> Range | None:
    """Claims a password that a sentence tells."""
    found = _SAID_AT_END.search(text, start, end)
    if found is None:
        return None
    quote, value = found.groups()
    first = found.start(2)
    if quote:
        value = re.split(r"['\"`]", value)[0]
    else:
        value = (
            value.rstrip(".,;:!?)]}'\"`")
            if not re.search(r"[!?]$", value)
            else value.rstrip(".,;:)]}'\"`")
        )
    if len(value) < 4 or value.lower() in _SAID_OF_PASSWORDS or _PLACEHOLDER.fullmatch(value):
        return None
    if re.search(r"[(\[{<>]", value) or value.startswith(("/", "./", "http")):
        return None
    following = text[first + len(value) : first + len(value) + 2]
    is_odd = (
        re.search(r"\d", value) or re.search(r"[^\w.,'-]", value) or re.search("[a-z][A-Z]", value)
    )
    is_last = not following or following[0] in ".,;!?\n" or quote
    if not is_odd and not is_last:
        return None
    return first, first + len(value)


def _after_user(text: str, start: int, end: int) -> Range | None:
    first = text.rindex(":", start, end) + 1
    return None if _PLACEHOLDER.fullmatch(text[first:end]) else (first, end)


_TOLD_AT_END = re.compile(r"[A-Za-z0-9_+/-]{20,}$")


def _told(text: str, start: int, end: int) -> Range | None:
    """Claims a key that a sentence tells: long, mixed, and no words with dashes between them."""
    found = _TOLD_AT_END.search(text, start, end)
    if found is None or text[end : end + 1] in {"(", "[", "."}:
        return None
    value = found.group()
    is_mixed = sum(c.isdigit() for c in value) >= 3 and sum(c.isalpha() for c in value) >= 3
    return found.span() if is_mixed and _entropy(value) >= _LEAST_ENTROPY_BITS else None


_OPTION_AT_END = re.compile(r"(?:-p|--password[ =])['\"]?([^\s'\"]+)$")


def _option(text: str, start: int, end: int) -> Range | None:
    """Claims the value of a password option on a command line."""
    found = _OPTION_AT_END.search(text, start, end)
    if found is None or _PLACEHOLDER.fullmatch(found[1]):
        return None
    return found.span(1)


_ALGORITHMS = frozenset(
    ("argon2", "argon2id", "base64", "bcrypt2", "oauth2", "pbkdf2", "sha256", "sha512", "utf8mb4")
)


def _odd_only(text: str, start: int, end: int) -> Range | None:
    """Claims a password right after the word, when nothing else is written like that."""
    place = _said(text, start, end)
    if place is None:
        return None
    value = text[slice(*place)]
    kinds = sum(
        bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", r"\d", r"[^\w\s.,:'/-]")
    )
    if len(value) < 6 or value.lower() in _ALGORITHMS:
        return None
    return place if kinds >= 3 or re.fullmatch(r"[A-Za-z]{3,}\d+", value) else None


_PIN_AT_END = re.compile(r"\d{4,8}$")


def _pin(text: str, start: int, end: int) -> Range | None:
    found = _PIN_AT_END.search(text, start, end)
    if found is None or text[end : end + 1].isalnum() or re.match(r"[./:-]\d", text[end : end + 2]):
        return None
    return found.start(), end


def _in_url(text: str, start: int, end: int) -> Range | None:
    first = text.index(":", text.index("://", start) + 3) + 1
    value = text[first : end - 1]
    return None if _PLACEHOLDER.fullmatch(value) else (first, end - 1)


def _after_scheme(text: str, start: int, end: int) -> Range | None:
    first = start + text[start:end].rindex(text[start:end].rsplit(maxsplit=1)[-1])
    value = text[first:end]
    return (first, end) if re.search(r"\d", value) and re.search(r"[A-Za-z]", value) else None


_NAMES_OF_PASSWORDS = """
    password passcode passphrase passwd pwd pw passwort kennwort contrasena wachtwoord senha
"""
_PASSWORD_WORDS: Final = "|".join(_NAMES_OF_PASSWORDS.split())

# How services write their keys: most begin with a name of their own. One alternative a service.
_FORMATS: Final = (
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",  # AWS
    r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}",  # GitHub
    r"gl(?:pat|dt|rt|cbt|ptt|ft|oas|agent|soat)-[A-Za-z0-9_-]{20,}",  # GitLab
    r"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{10,}",  # Slack
    r"hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}|rubygems_[0-9a-f]{48}",
    r"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}",  # Google
    r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",  # SendGrid
    r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{24,}",  # Stripe
    r"sk-[A-Za-z0-9_-]{20,}|gsk_[A-Za-z0-9]{40,}|r8_[A-Za-z0-9]{37}|pplx-[A-Za-z0-9]{40,}",
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",  # JSON web tokens
    r"(?:AC|SK)[0-9a-f]{32}\b",  # Twilio
    r"key-[0-9a-f]{32}\b|[0-9a-f]{32}-us\d{1,2}\b",  # Mailgun, Mailchimp
    r"sq0[a-z]{3}-[A-Za-z0-9_-]{22,43}|EAAA[A-Za-z0-9_-]{60}",  # Square
    r"\d{8,10}:AA[A-Za-z0-9_-]{33}\b",  # Telegram
    r"[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}",  # Discord
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|do[opr]_v1_[0-9a-f]{64}|dapi[0-9a-f]{32}",
    r"hv[sbr]\.[A-Za-z0-9_-]{24,}|[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,}",  # HashiCorp
    r"ATATT3[A-Za-z0-9_=-]{60,}|lin_api_[A-Za-z0-9]{40}|ntn_[A-Za-z0-9]{40,}",
    r"sntrys_[A-Za-z0-9+/=_-]{40,}",
    r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_[A-Za-z0-9+/=]{32,}",  # Grafana
    r"NRAK-[A-Z0-9]{27}|PMAK-[a-f0-9]{24}-[a-f0-9]{34}",  # New Relic, Postman
    r"dckr_pat_[A-Za-z0-9_-]{20,}|sbp_[0-9a-f]{40}|pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{32,}",
    r"AGE-SECRET-KEY-1[0-9A-Z]{58}|HRKU-[A-Za-z0-9_-]{36,}|figd_[A-Za-z0-9_-]{40}",
)

CREDENTIAL_RULES: tuple[Rule, ...] = (
    Rule(
        "SECRET",
        r"\b(?:" + "|".join(_FORMATS) + ")",
        0.98,
        _key,
    ),
    Rule("SECRET", r"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY-----", 1.0, _pem),
    Rule(
        "SECRET",
        r"(?i)hooks\.slack\.com/services/[A-Z0-9]+/[A-Z0-9]+/[A-Z0-9]{8,}"
        r"|discord(?:app)?\.com/api/webhooks/\d+/[\w-]{30,}"
        r"|webhook\.office\.com/webhookb2/[\w@-]{30,}/IncomingWebhook/[\w/-]{30,}",
        0.98,
    ),
    Rule(
        "SECRET",
        r"(?i)\b(?:AccountKey|SharedAccessKey|SharedAccessSignature|sig)=[A-Za-z0-9+/%_-]{32,}={0,2}",
        0.95,
        _after_equals,
    ),
    Rule(
        "SECRET",
        r"(?i)(?:password|passwd|passphrase|passcode|\bpwd|_pwd|secret|api_?key|access_?key|"
        r"secret_?key|auth_?token|access_?token|refresh_?token|session_?token|client_?secret|"
        r"private_?key|_authtoken|encryption_?key|signing_?key|account_?key|connection_?string)(?:[A-Za-z_.-]{0,12})?['\"]?"
        r"(?:\s{0,4}(?:[:=]>?)\s{0,4}|\s(?:is|was):?\s)[bfru]?(?:'[^'\n]{4,}'|\"[^\"\n]{4,}\""
        r"|[^\s'\"]{4,})",
        0.93,
        _assigned,
        hint=r"(?i)(?:passw|passphrase|passcode|pwd|secret|api_?key|access_?key|_?token|private_?key)"
        r"[\w.-]{0,12}['\"]?(?:\s{0,4}[:=]|\s(?:is|was))",
    ),
    Rule(
        "SECRET",
        r"(?i)(?:\b|_)(?:token|credentials?|creds|auth|authorization|api|bearer|session_?(?:id|key)|"
        r"csrf|cookie|jwt|salt|nonce|licen[cs]e_?key|webhook)(?:[A-Za-z_]{0,12})?['\"]?"
        r"\s{0,2}(?:[:=]>?)\s{0,2}(?:'[^'\s]{16,}'|\"[^\"\s]{16,}\"|[^\s'\"]{16,})",
        0.8,
        _random,
        hint=r"(?i)(?:\b|_)(?:token|cred|auth|api|bearer|session|csrf|cookie|jwt|salt|nonce|licen[cs]e|"
        r"webhook)\w{0,20}['\"]?\s{0,2}[:=]>?\s{0,2}['\"]?[^\s'\"]{16}",
    ),
    Rule(
        "SECRET",
        rf"(?i)\b(?:{_PASSWORD_WORDS})(?: (?:for|of|on|at) [^\n.:]{{1,40}}?)?"
        r"(?:,? (?:is|was|to|as|will be|should be|would be|set to|changed to|reset to|now|ist|est|"
        r"es|lautet)|:| -| =)"
        r"(?: (?:now|still|just|always|currently))?:?\s{1,2}['\"`]?[^\s'\"`]{4,64}",
        0.86,
        _said,
        hint=rf"(?i)\b(?:{_PASSWORD_WORDS})[ :,]",
    ),
    Rule(
        "SECRET",
        rf"(?i)\b(?:{_PASSWORD_WORDS}) ['\"`(]?[^\s'\"`]{{4,64}}",
        0.84,
        _odd_only,
        hint=rf"(?i)\b(?:{_PASSWORD_WORDS}) ",
    ),
    Rule(  # as crypt(3) and its like write it
        "SECRET",
        r"\$(?:[1256y]|2[abxy]|argon2(?:id?|d)|scrypt|pbkdf2[a-z0-9-]{0,12})\$"
        r"[A-Za-z0-9./$=,+-]{22,200}",
        0.95,
        hint=r"\$(?:[1256y]|2[abxy]|argon2|scrypt|pbkdf2)[^\s$]{0,14}\$",
    ),
    Rule(
        "SECRET",
        r"(?i)(?:\b|_)(?:api|auth|access|secret|session|refresh|security|signing)[ _-]"
        r"(?:key|token|secret)(?: is| was)?:? ['\"`]?[A-Za-z0-9_+/-]{20,128}\b",
        0.88,
        _told,
        hint=r"(?i)(?:\b|_)(?:api|auth|access|secret|session|refresh|security|signing)[ _-]"
        r"(?:key|token|secret)(?: is| was)?:? ",
    ),
    Rule(
        "SECRET",
        r"\b(?:mysql|mysqldump|mysqladmin|mariadb|sshpass)\b[^\n]{0,200} "
        r"(?:-p|--password[ =])['\"]?[^\s'\"-][^\s'\"]{3,}",
        0.9,
        _option,
        hint=r"\b(?:mysql|mysqldump|mysqladmin|mariadb|sshpass)\b",
    ),
    Rule(
        "SECRET",
        r"\bcurl\b[^\n]{0,200} (?:-u|--user)[ =]['\"]?[^\s:'\"]{1,64}:[^\s'\"]{3,}",
        0.9,
        _after_user,
        hint=r"\bcurl\b[^\n]{0,200} (?:-u|--user)[ =]",
    ),
    Rule(
        "SECRET",
        r"\b(?:PIN|(?i:pin (?:code|number|no)|security code|access code|verification code|otp|"
        r"one[- ]time (?:code|password)|2fa code))"
        r"(?i: (?:is|was|(?:was |is )?(?:re)?set to|(?:was )?changed to|for [a-z ]{1,20} is))?"
        r"[ :=#]{1,3}\d{4,8}\b",
        0.8,
        _pin,
    ),
    Rule(
        "SECRET",
        r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^/\s:@'\"]*:[^@\s'\"/]{3,}@",
        0.96,
        _in_url,
        hint=r"://[^/\s:@'\"]*:[^@\s'\"/]*@",
    ),
    Rule(
        "SECRET",
        r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{16,}",
        0.92,
        _after_scheme,
        hint=r"(?i)\b(?:bearer|basic)\s+[a-z0-9._~+/=-]{16}",
    ),
)
