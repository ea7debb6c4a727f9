"""Decode raw recordings into tables, one module per instrument."""
