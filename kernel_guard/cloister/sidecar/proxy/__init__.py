"""The egress proxy: the only way out of a kernel.

It runs in a process of its own (:mod:`.process`), which holds no policy, no index and no record: it
reads HTTP and TLS, and asks the sidecar about everything that is to be decided.
"""
