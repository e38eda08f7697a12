"""Differentially private training and statistics, charged to one ledger."""
