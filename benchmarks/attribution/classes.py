"""A class made for each request, and registered."""

from _beside import beside

registry = []


def leak(step, size):
    registry.append(type(f"Model{step}", (), {"schema": bytes(size)}))  # leak


scenario = beside(leak, natural=1600)
