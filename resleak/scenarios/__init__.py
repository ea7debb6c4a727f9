"""The scenarios: one file each, found by scanning ``<system>/<name>.py``."""
