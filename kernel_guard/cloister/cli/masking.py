"""How a command masks: by the policy, for a role, with the workspace's tokens."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from cloister.cli.tables import Source
    from cloister.core.masks import Mask
    from cloister.core.policy import Policy
    from cloister.detect.finding import ColumnFinding
    from cloister.detect.streaming import Masking
    from cloister.store.home import Home


def policy_for(role: str | None, policy: Policy) -> Policy:
    """Returns the policy as it holds for a role.

    Raises:
        CloisterError: The policy knows no such role (``CLO-INPUT-011``).
    """
    if role is None:
        return policy
    raise CloisterError(
        f"The policy says nothing about the role {role}, so nobody knows how it sees the data.",
        code="CLO-INPUT-011",
        remedy="Leave --as out to mask as the policy shows the data to everyone.",
    )


def mask_of(finding: ColumnFinding, policy: Policy) -> Mask:
    """Returns the mask of a column."""
    from cloister.detect.masking.marks import entity_shown

    return policy.mask_for(entity_shown(finding.entity_type, finding.free_text), finding.level)


def invented_rows(
    table: Source, findings: Sequence[ColumnFinding], policy: Policy, rows: int
) -> pa.Table:
    """Returns rows that look like those of a table and are nobody's."""
    import pyarrow as pa

    from cloister.detect.lookalike import SAMPLE_ROWS, lookalike
    from cloister.detect.masking.marks import entity_shown

    batches, seen = [], 0
    with table.open() as reader:
        for batch in reader.batches:
            batches.append(batch.slice(0, SAMPLE_ROWS - seen))
            seen += batches[-1].num_rows
            if seen >= SAMPLE_ROWS:
                break
        sample = pa.Table.from_batches(batches, reader.schema)
    masks = [
        (mask_of(finding, policy), entity_shown(finding.entity_type, finding.free_text))
        for finding in findings
    ]
    return lookalike(sample, masks, rows)


def table_masking(home: Home, policy: Policy, findings: Sequence[ColumnFinding]) -> Masking:
    """Returns what masks rows of a table with these findings, with the workspace's tokens."""
    from cloister.detect.mask import mask_table
    from cloister.detect.recognizers import Recognizers
    from cloister.detect.tokens import Tokenizer
    from cloister.store.keys import open_keyring

    keyring = open_keyring(home)
    return partial(
        mask_table,
        findings=findings,
        treatment_of=policy.display.__getitem__,
        tokenizer=Tokenizer(keyring.token_key, keyring.reversible_key),
        level_of=policy.level_of,
        mask_of=policy.mask_for,
        recognizers=Recognizers.of(policy),
    )
