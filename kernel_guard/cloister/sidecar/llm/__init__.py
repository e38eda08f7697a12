"""Calls to providers: language models and vendors. What leaves, and what comes back.

Runs in the sidecar, behind the filter seam of the proxy. :mod:`.service` puts one call together.
"""
