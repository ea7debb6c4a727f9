"""Designs that capture and judge."""
