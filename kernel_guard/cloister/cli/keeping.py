"""What ``cloister doctor`` says about who holds the keys, and about what is kept too long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cloister.core.guarantees import Guarantee

if TYPE_CHECKING:
    from cloister.core.policy import Policy
    from cloister.store.home import Home

_MOST_LOOKED_AT = 200_000


def keys_held(home: Home) -> Guarantee:
    """Says whether somebody who copies the home has its keys, too."""
    from cloister.store.keys import open_keyring

    keyring = open_keyring(home)
    provider = keyring.provider
    if len(keyring.workspace_keys.generations) > 1 or len(keyring.signing_keys.keys) > 1:
        why, fix = "a rotation of keys was interrupted", "Run: cloister keys rotate"
        return Guarantee("keys", holds=False, why=why, fix=fix)
    if provider is None:
        why = "the keys lie in the home in clear: who copies it reads the record and can sign it"
        fix = "Give them to a provider: cloister keys rotate --provider FILE"
        return Guarantee("keys", holds=False, why=why, fix=fix)
    keyring.signer.sign(b"cloister doctor")  # a provider that holds it must let it be used
    signed = "signed there, too" if keyring.signing_keys.keys[0].seed is None else "signed here"
    return Guarantee("keys", holds=True, why=f"wrapped by {provider.name}; the record is {signed}")


def retention_kept(home: Home, policy: Policy | None) -> Guarantee:
    """Says whether payloads are there that the policy lets nobody keep."""
    from cloister.store.erasure import plan_expiry
    from cloister.store.erasure_reader import ErasureReader

    name = "retention"
    if policy is None:
        why = "without a valid policy it is not known how long payloads may be kept"
        return Guarantee(name, holds=False, why=why, fix="Repair the policy first.")
    rules = policy.retention
    if all(item.maximum_days is None for item in rules.classes):
        why = (
            "the policy sets no maximum age: payloads of the record are kept until they are erased"
        )
        return Guarantee(name, holds=True, why=why)
    with ErasureReader(home) as reader:
        checkpoint = reader.checkpoint()
        if checkpoint is not None and checkpoint.size > _MOST_LOOKED_AT:
            why = "the record is long; ask: cloister lineage erase --expired --dry-run"
            return Guarantee(name, holds=True, why=why)
        plan = plan_expiry(reader, rules, time.time_ns() // 1000)
    if plan.count:
        why = f"{plan.count} payloads are older than the policy lets them be kept"
        return Guarantee(name, holds=False, why=why, fix="Run: cloister lineage erase --expired")
    held = f"; {plan.held.total()} older ones are on legal hold" if plan.held else ""
    return Guarantee(name, holds=True, why=f"no payload is older than its class allows{held}")
