"""Words and rules: labels, policy model, decisions, records, errors. Standard library only; no IO."""
