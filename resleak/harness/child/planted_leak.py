"""A leak of a known size, planted into a measured process to show that it would be found."""

from __future__ import annotations

from collections.abc import Callable

#: What glibc takes for the smallest object, and for the header and the rounding of a larger one.
_SMALLEST, _AROUND = 32, 41


class Plant:
    """Keeps so many bytes with each step, in a list that is as long as it will ever be.

    Parameters
    ----------
    rate : float
        Bytes a step, as the C library counts them. Below 48 the smallest object there is, of 32
        bytes, is kept every so many steps.
    steps : int
        How many steps there will be.
    """

    def __init__(self, rate: float, steps: int) -> None:
        small = rate < _SMALLEST + 16
        self._per_step = min(1.0, rate / _SMALLEST) if small else 1.0
        size = round(rate) - _AROUND
        self._make: Callable[[], object] = object if small else lambda: bytes(size)
        self._kept: list[object] = [None] * (steps + 1)

    def grow(self, step: int) -> None:
        """Keep one more, if it is due."""
        if int(step * self._per_step) > int((step - 1) * self._per_step):
            self._kept[step] = self._make()
