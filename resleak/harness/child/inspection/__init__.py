"""Inspect a measured process from inside, in a run of its own, with the standard library."""
