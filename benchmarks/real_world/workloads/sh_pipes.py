"""sh: each command that is run leaves a descriptor of a pipe open."""

from __future__ import annotations

from sh import true


def step(i: int) -> None:
    true()
