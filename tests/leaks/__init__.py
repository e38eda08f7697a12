"""The leak corpus and what holds it."""
