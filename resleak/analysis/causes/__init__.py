"""Causes: what leaks, where, why, how badly, and what to change."""
