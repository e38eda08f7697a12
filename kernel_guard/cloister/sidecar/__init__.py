"""Runs outside the kernel and decides: provisioner, sandbox, gate, broker, egress proxy."""
