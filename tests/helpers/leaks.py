"""A file that leaks, captured once for all tests that only read the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resleak.experiments.investigation import Investigation

#: Memory grows at line 7, descriptors at line 8.
SOURCE = """
import os

kept = []

def step(i):
    kept.append(bytes(5000))
    os.open(os.devnull, os.O_RDONLY)
"""


@dataclass(frozen=True)
class Leak:
    """The file, its captures with all instruments, and what was found in them."""

    file: Path
    captures: Path
    investigation: Investigation
