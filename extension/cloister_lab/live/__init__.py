"""The record as it grows: metrics, Jupyter events and spans, made from it and nothing else.

Kernels and their sidecars are other processes, so the server reads the log and tells what is new in
it. What is told is as true as the record, a second later, and holds no payload.
"""
