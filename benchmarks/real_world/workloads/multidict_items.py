"""multidict: `pairs | d.items()` leaks two references for each pair, in C."""

from __future__ import annotations

from multidict import CIMultiDict

KNOWN = CIMultiDict({"Accept": "*/*"})


def step(i: int) -> None:
    [(f"Header-{i}-{n}", f"value-{i}-{n}") for n in range(10)] | KNOWN.items()
