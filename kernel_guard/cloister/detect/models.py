"""A model that finds names, where a user has one on this machine: of spaCy, or of transformers.

Nothing is ever downloaded, and a directory is read as it is. A model says where names stand; what
it calls them differs from one to the next, so labels of the common tag sets are brought to
Presidio's types and others are left out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from cloister.core.errors import CloisterError

MODEL_VARIABLE: Final = "CLOISTER_TEXT_MODEL"

_REMEDY = (
    "Name an installed spaCy package or the directory of a spaCy or transformers model; nothing is "
    "downloaded. A transformers model needs the packages transformers and torch. Unset it to go on "
    "without."
)
# By what models that are trained on CoNLL, OntoNotes, clinical notes and PII call them.
_LABELS_OF = {
    "PERSON": """
        PER PERSON PS NAME GIVENNAME SURNAME FIRSTNAME MIDDLENAME LASTNAME FIRST_NAME LAST_NAME
        GIVEN_NAME MIDDLE_NAME FULL_NAME FULLNAME PREFIX PATIENT DOCTOR STAFF HCW
    """,
    "LOCATION": """
        LOC LC GPE LOCATION FAC CITY STATE COUNTY COUNTRY STREET STREETADDRESS STREET_ADDRESS
        SECONDARYADDRESS BUILDINGNUM BUILDINGNUMBER ADDRESS ZIPCODE ZIP POSTCODE
    """,
    "ORGANIZATION": "ORG OG ORGANIZATION COMPANYNAME COMPANY COMPANY_NAME HOSPITAL HOSP VENDOR",
    "NRP": "NORP NRP NATIONALITY",
    "AGE": "AGE",
}
_TYPE_OF: Final = {
    label: entity_type for entity_type, labels in _LABELS_OF.items() for label in labels.split()
}
#: The types that a model is believed; patterns and check digits know the others better.
MODEL_TYPES: Final = frozenset(_LABELS_OF)


@dataclass(frozen=True, slots=True)
class Model:
    """A model for names that is on this machine.

    Attributes:
        name: Of an installed package, or the path of a directory.
        kind: ``spacy`` or ``transformers``.
        language: ISO 639-1.
    """

    name: str
    kind: str
    language: str = "en"


@lru_cache(maxsize=4)
def installed_model(name: str = "") -> Model | None:
    """Returns the model that looks for names, or ``None`` when none is on this machine.

    Args:
        name: Of an installed spaCy package, the path of a spaCy or transformers model, ``none`` for
            no model, or empty for the largest spaCy package that is installed.

    Raises:
        CloisterError: There is no such model here (``CLO-INPUT-020``).
    """
    if name == "none" or (not name and importlib.util.find_spec("spacy") is None):
        return None
    path = Path(name)
    if name and (path / "config.json").is_file() and not (path / "meta.json").is_file():
        if all(importlib.util.find_spec(needed) for needed in ("transformers", "torch")):
            return Model(name, "transformers")
    elif importlib.util.find_spec("spacy") is not None:
        import spacy

        packages = list(spacy.util.get_installed_models())
        if not name:
            best = max(packages, key=lambda p: (p.startswith("en_"), _size(p)), default=None)
            return None if best is None else Model(best, "spacy", best[:2])
        if name in packages:
            return Model(name, "spacy", name[:2])
        if (path / "meta.json").is_file():
            with contextlib.suppress(Exception):  # a broken model is no model; the error says so
                return Model(name, "spacy", str(spacy.util.load_meta(path / "meta.json")["lang"]))
    raise CloisterError(
        f"{MODEL_VARIABLE} names no model that is on this machine.",
        code="CLO-INPUT-020",
        remedy=_REMEDY,
    )


def nlp_engine(model: Model | None, language: str) -> Any:
    """Returns Presidio's engine for the words of a text: the model's, or one that does nothing.

    Raises:
        CloisterError: The model cannot be loaded (``CLO-INPUT-020``).
    """
    if model is None or model.kind != "spacy":
        from presidio_analyzer.nlp_engine import NoOpNlpEngine

        engine = NoOpNlpEngine([{"lang_code": language, "model_name": "no_op"}])
        engine.load()
        return engine
    import spacy
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

    engine = SpacyNlpEngine(
        [{"lang_code": language, "model_name": model.name}],
        NerModelConfiguration(model_to_presidio_entity_mapping=dict(_TYPE_OF)),
    )
    # Loaded here: the engine's own way would download what it does not find.
    try:
        engine.nlp = {language: spacy.load(model.name)}
    except Exception as error:  # noqa: BLE001 - whatever a broken or newer model raises
        raise _not_loaded(error) from None
    return engine


def transformers_recognizer(model: Model) -> Any:
    """Returns Presidio's recogniser that asks a transformers model.

    Raises:
        CloisterError: The model cannot be loaded (``CLO-INPUT-020``).
    """
    # Set before the library is imported: it asks its hub for newer files otherwise, and draws bars.
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import transformers
    from presidio_analyzer.predefined_recognizers import HuggingFaceNerRecognizer

    transformers.utils.logging.disable_progress_bar()
    log = logging.getLogger("presidio-analyzer")
    level = log.level
    log.setLevel(logging.CRITICAL)  # it would print the whole trace of a model that is broken
    try:
        recognizer = HuggingFaceNerRecognizer(
            model_name=model.name, supported_language=model.language, label_mapping=dict(_TYPE_OF)
        )
        recognizer.load()
    except Exception as error:  # noqa: BLE001 - whatever a broken or newer model raises
        raise _not_loaded(error) from None
    finally:
        log.setLevel(level)
    return recognizer


def _not_loaded(error: Exception) -> CloisterError:
    return CloisterError(
        f"The model that {MODEL_VARIABLE} names cannot be loaded ({type(error).__name__}).",
        code="CLO-INPUT-020",
        remedy=_REMEDY,
    )


def _size(package: str) -> int:
    return next((n for n, s in enumerate(("sm", "md", "lg", "trf")) if package.endswith(s)), 0)
