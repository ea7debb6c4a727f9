"""Notebook to one file: execute, collect, redact, write."""
