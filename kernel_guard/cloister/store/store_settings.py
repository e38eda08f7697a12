"""Where a workspace's record is kept: ``store.yaml`` in its home, which only its owner can write.

Without the file the record is the SQLite database in the home. With it the record is in PostgreSQL.
A file that cannot be read or says something unknown is an error, never a reason to go on with
SQLite: the record would be in two places. ``cloister lineage migrate`` writes the file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from cloister.core.errors import StoreUnavailable
from cloister.store.files import NotPrivateError, read_private

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloister.store.home import Home

_MOST_BYTES: Final = 16_384
_KEYS: Final = frozenset({"url", "password_file", "password_env"})
_SCHEMES: Final = frozenset({"postgresql", "postgres", "postgresql+psycopg"})


class StoreSettingsInvalid(StoreUnavailable):
    """``store.yaml`` cannot be used, so nobody knows where the record is."""

    default_code = "CLO-STORE-006"


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the record is, and where the password for it is.

    Attributes:
        url: ``postgresql://user@host:port/database``, without a password.
        password_file: A private file with the password, if one is needed.
        password_env: An environment variable with the password.
    """

    url: str = field(repr=False)
    password_file: Path | None = None
    password_env: str | None = None

    def password(self, environ: Mapping[str, str] = os.environ) -> str | None:
        """Returns the password; never log it.

        Raises:
            StoreSettingsInvalid: It is to come from somewhere and does not.
        """
        if self.password_file is not None:
            try:
                return read_private(self.password_file, _MOST_BYTES).decode("utf-8").strip("\n")
            except (OSError, UnicodeDecodeError, NotPrivateError) as error:
                raise StoreSettingsInvalid(
                    "The file with the database's password cannot be read, or others can read it.",
                    remedy="Make it a regular file of this account with mode 0600.",
                ) from error
        if self.password_env is not None:
            password = environ.get(self.password_env)
            if not password:
                raise StoreSettingsInvalid(
                    "The environment variable for the database's password is not set.",
                    remedy="Set the variable that password_env names, or use password_file.",
                )
            return password
        return None


def read_settings(home: Home) -> StoreSettings | None:
    """Returns what ``store.yaml`` says, or ``None`` where there is none: then it is SQLite.

    Raises:
        StoreSettingsInvalid: It cannot be read, or says something unknown.
    """
    try:
        text = read_private(home.store_settings_path, _MOST_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, NotPrivateError) as error:
        raise StoreSettingsInvalid(
            "store.yaml cannot be read, or others can read it.",
            remedy="Make it a regular file of this account with mode 0600.",
        ) from error
    import yaml

    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError):
        raise _invalid("is not YAML") from None
    return parse_settings(content)


def parse_settings(content: Any) -> StoreSettings:
    """Checks settings.

    Raises:
        StoreSettingsInvalid: They say something unknown, or hold a password.
    """
    if not isinstance(content, dict) or not isinstance(content.get("url"), str):
        raise _invalid("has no url")
    if set(content) - _KEYS or not all(isinstance(v, str) for v in content.values()):
        raise _invalid("has a key or value that is not known")
    try:
        parts = urlsplit(content["url"])
        password = parts.password or parse_qs(parts.query).get("password")
    except ValueError:
        raise _invalid("has a url that is none") from None
    if parts.scheme not in _SCHEMES:
        raise _invalid("has a url that does not begin with postgresql://")
    if password:
        raise _invalid("has a url with a password in it; use password_file")
    if {"password_file", "password_env"} <= set(content):
        raise _invalid("names two places for the password")
    file = content.get("password_file")
    return StoreSettings(
        content["url"], Path(file).expanduser() if file else None, content.get("password_env")
    )


def _invalid(reason: str) -> StoreSettingsInvalid:
    return StoreSettingsInvalid(
        f"store.yaml {reason}, so nobody knows where the record is.",
        remedy="Repair it; its keys are in the reference under Configuration, The store.",
    )
