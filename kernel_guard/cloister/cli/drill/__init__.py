"""The drill: the leak corpus, tried on this installation with values that nobody has lost."""
