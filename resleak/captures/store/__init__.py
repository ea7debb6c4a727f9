"""Captures of many machines at one URL: immutable, indexed, and queried with SQL."""
