"""Who holds the key above all keys, behind one protocol: :mod:`.provider`."""
