"""Runs inside the kernel: masked display, reads, egress errors, the broker client."""
