"""The record in formats that other programs read; one module for each, none with payloads."""
