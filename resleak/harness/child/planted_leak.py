"""A planted leak of a known size, as a positive control."""

from __future__ import annotations

from collections.abc import Callable

#: Bytes of glibc's smallest block, and of the header and rounding of a larger one.
_SMALLEST, _AROUND = 32, 41


class Plant:
    """Retains a number of bytes per step, in a list of fixed length."""

    def __init__(self, rate: float, steps: int) -> None:
        small = rate < _SMALLEST + 16
        self._per_step = min(1.0, rate / _SMALLEST) if small else 1.0
        size = round(rate) - _AROUND
        self._make: Callable[[], object] = object if small else lambda: bytes(size)
        self._kept: list[object] = [None] * (steps + 1)

    def grow(self, step: int) -> None:
        """Retain one more object, if it is due."""
        # Below 48 bytes per step the smallest object, of 32 bytes, is retained every few steps.
        if int(step * self._per_step) > int((step - 1) * self._per_step):
            self._kept[step] = self._make()
