"""Words and rules: labels, policy model, decisions, records. Standard library only; no IO."""
