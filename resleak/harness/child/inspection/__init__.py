"""Inspect a measured process from inside: blockers, retention, cycles, locks, unflushed data.

In a run of its own, with the standard library alone.
"""
