"""Entity types and the level each has unless the policy says otherwise.

Names are Presidio's where it has them. The levels follow the classification used throughout:
restricted for government identifiers, payment and bank numbers, credentials and special
categories; confidential for direct identifiers and contact data; internal for quasi-identifiers.
"""

from __future__ import annotations

from cloister.core.labels import Level

DEFAULT_LEVELS: dict[str, Level] = {
    "US_SSN": Level.RESTRICTED,
    "CREDIT_CARD": Level.RESTRICTED,
    "IBAN_CODE": Level.RESTRICTED,
    "MEDICAL_RECORD": Level.RESTRICTED,
    "MEDICAL": Level.RESTRICTED,
    "SECRET": Level.RESTRICTED,
    "BANK_ACCOUNT": Level.RESTRICTED,
    "CARD_EXPIRY": Level.RESTRICTED,
    "CVV": Level.RESTRICTED,
    "DRIVER_LICENSE": Level.RESTRICTED,
    "NATIONAL_ID": Level.RESTRICTED,
    "PASSPORT": Level.RESTRICTED,
    "POLITICAL_VIEW": Level.RESTRICTED,
    "RACE_ETHNICITY": Level.RESTRICTED,
    "RELIGION": Level.RESTRICTED,
    "SEXUAL_ORIENTATION": Level.RESTRICTED,
    "TAX_ID": Level.RESTRICTED,
    "EMAIL_ADDRESS": Level.CONFIDENTIAL,
    "PHONE_NUMBER": Level.CONFIDENTIAL,
    "IP_ADDRESS": Level.CONFIDENTIAL,
    "DATE_OF_BIRTH": Level.CONFIDENTIAL,
    "PERSON": Level.CONFIDENTIAL,
    "STREET_ADDRESS": Level.CONFIDENTIAL,
    "FREE_TEXT": Level.CONFIDENTIAL,
    "SALARY": Level.CONFIDENTIAL,
    "USERNAME": Level.CONFIDENTIAL,
    "AGE": Level.INTERNAL,
    "COUNTRY": Level.INTERNAL,
    "GENDER": Level.INTERNAL,
    "MARITAL_STATUS": Level.INTERNAL,
    "PERSON_ID": Level.INTERNAL,
    "REGION": Level.INTERNAL,
    "POSTCODE": Level.INTERNAL,
    "CITY": Level.INTERNAL,
    "UNKNOWN": Level.INTERNAL,
}


def default_level(entity_type: str) -> Level:
    """Returns the level of an entity type; an unknown type is restricted (fail closed)."""
    return DEFAULT_LEVELS.get(entity_type, Level.RESTRICTED)
