"""Workloads, and the declarations of a scenario file."""
