"""Finds sensitive values in columns and text, and masks them."""
