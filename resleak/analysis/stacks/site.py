"""One allocation site: a line, with the rate at which its live memory grows."""

from __future__ import annotations

from dataclasses import dataclass

_NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Site:
    """One row of `resleak.sites`, with the same names."""

    function: str
    file: str
    line: int
    bytes_per_step: float
    low: float = _NAN
    high: float = _NAN
    count_per_step: float = _NAN
    share: float = _NAN
    leaf_function: str = ""
    leaf_file: str = ""
    leaf_line: int = 0

    @property
    def place(self) -> str:
        """``FILE:LINE``; empty if the stack has no line."""
        return f"{self.file}:{self.line}" if self.file else ""
