"""What must last: lineage log, policy, catalogue, budget ledger, keys."""
