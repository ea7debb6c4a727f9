"""One allocation site: a line, with the rate at which its live memory grows."""

from __future__ import annotations

from dataclasses import dataclass

from resleak.captures.decode.trie import HARNESS

_NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Site:
    """One row of `resleak.sites`, with the same names.

    `source` is the text of the line, between the line before and the one after.
    """

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
    source: str = ""

    @property
    def is_ours(self) -> bool:
        """True for the caller of what a step leaves in free lists, which retains nothing."""
        return not self.file and self.function == HARNESS

    @property
    def place(self) -> str:
        """``FILE:LINE``; empty if the stack has no line."""
        return f"{self.file}:{self.line}" if self.file else ""
