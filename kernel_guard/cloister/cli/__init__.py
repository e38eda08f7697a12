"""The command line: `cloister` and `jupyter cloister`."""
