"""Who the user is, outside a browser.

Inside Jupyter Server the identity comes from its IdentityProvider. A headless run has only its
environment, which the user controls on a single-user machine: the name is a statement, not a
proof, and ``cloister doctor`` says so.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloister.core.policy import Policy

DEFAULT_ROLES = frozenset({"analyst"})
ADMIN_ROLE = "admin"  # may act for the owner of any dataset


class IdentitySource(Enum):
    """Where the user's name came from."""

    ENVIRONMENT = "CLOISTER_USER"
    JUPYTERHUB = "JUPYTERHUB_USER"
    OPERATING_SYSTEM = "operating system account"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user's name, roles and where they were learned."""

    user: str
    roles: frozenset[str]
    source: IdentitySource


def current_identity(environ: Mapping[str, str], policy: Policy) -> Identity:
    """Returns who runs this process.

    Args:
        environ: ``CLOISTER_USER`` and ``CLOISTER_ROLES`` (separated by commas) count only where
            the policy's ``identity.from_environment`` allows it; then ``JUPYTERHUB_USER``; then
            the account of the process, never ``USER`` or ``LOGNAME``, which anyone can set.
        policy: The live policy.
    """
    if policy.identity_from_environment:
        names = environ.get("CLOISTER_ROLES", "").split(",")
        roles = frozenset(name.strip() for name in names if name.strip()) or DEFAULT_ROLES
        if environ.get("CLOISTER_USER"):
            return Identity(environ["CLOISTER_USER"], roles, IdentitySource.ENVIRONMENT)
    else:
        roles = DEFAULT_ROLES
    if environ.get("JUPYTERHUB_USER"):
        return Identity(environ["JUPYTERHUB_USER"], roles, IdentitySource.JUPYTERHUB)
    return Identity(_account_name(), roles, IdentitySource.OPERATING_SYSTEM)


def current_user(environ: Mapping[str, str], policy: Policy) -> str:
    """Returns the name of who runs this process; see :func:`current_identity`."""
    return current_identity(environ, policy).user


def current_roles(environ: Mapping[str, str], policy: Policy) -> frozenset[str]:
    """Returns the roles of who runs this process; see :func:`current_identity`."""
    return current_identity(environ, policy).roles


def _account_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # an account without a name, as in containers
        return f"uid-{os.geteuid()}"
