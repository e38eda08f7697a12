"""Checks of outputs in a process of their own, which may be ended in the middle of one."""
