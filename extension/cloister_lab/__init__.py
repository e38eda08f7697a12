"""The Cloister control plane in Jupyter Server."""
