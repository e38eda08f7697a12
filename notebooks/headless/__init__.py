"""Runs the demo notebooks through a real Jupyter server, without a browser."""
