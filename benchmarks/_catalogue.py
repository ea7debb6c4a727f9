"""The scenarios' own variants among the rows, judged from the captures in ``data/``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _corpus as corpus
from _accuracy_rows import SCORED

from resleak.analysis import verdicts
from resleak.analysis.verdicts import VariantVerdict
from resleak.captures import archive, load

DATA = corpus.HERE.parent / "data" / "captures"


@dataclass(frozen=True)
class Scenario:
    """One scenario with all its variants."""

    folder: Path

    @property
    def name(self) -> str:
        """Name: theme and scenario."""
        return self.folder.relative_to(DATA).as_posix()

    @property
    def code(self) -> str:
        """Digest of its captures."""
        return hashlib.sha256((self.folder / archive.NAME).read_bytes()).hexdigest()[:12]

    def complete(self, _runs: int) -> bool:
        """Return True: its captures are part of the repository."""
        return True

    def rows(self, _looks: tuple[int, ...]) -> Iterator[dict[str, Any]]:
        """Yield a row per variant: its file declares the leaks."""
        told = {"workload": self.name, "half": "catalogue", "tool": "resleak", "look": SCORED}
        for name, variant in verdicts.judge(load.load(self.folder)).variants.items():
            leaks = any("leak" in words for words in variant.expect.values())
            found = {"variant": name, "leaks": leaks, "verdict": _called(variant), "gauges": {}}
            yield {**told, **found, "beyond": False}


def scenarios() -> list[Scenario]:
    """Return all scenarios that were captured."""
    return [Scenario(file.parent) for file in sorted(DATA.rglob(archive.NAME))]


def _called(variant: VariantVerdict) -> str:
    """Return the verdict on its growth, in the scenario's own gauges."""
    if any("leak" in words for name, words in variant.symptoms.items() if name in variant.evidence):
        return "leak"
    return "inconclusive" if variant.undecided else "flat"
