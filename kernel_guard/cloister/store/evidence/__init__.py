"""Evidence for others: bundles that verify without Cloister, and witnesses outside this machine."""
