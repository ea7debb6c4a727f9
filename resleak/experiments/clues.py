"""Tell the first verdict, and where a leak seems to come from, while the measurement goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from resleak.errors import ResleakError

if TYPE_CHECKING:
    from resleak.analysis.gauge_verdict import GaugeVerdict
    from resleak.analysis.verdicts import VariantVerdict
    from resleak.captures.frames import Capture

#: Families of gauges that show the same growth, the most telling first.
_MEMORY = ("memory", "objects", "resident")


@dataclass
class Clues:
    """Joins the verdict so far and the captures of the instruments that name lines.

    `tell` is called with one line for each of them, as soon as both are known.
    """

    tell: Callable[[str], object]
    #: Those that were stored, with the tables that were read, by folder.
    captures: dict[Path, Capture] = field(default_factory=dict)
    _leaks: list[GaugeVerdict] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def verdict(self, variant: VariantVerdict, *, may_fill: bool) -> None:
        """Tell what the gauges show, and what is known of it already."""
        from resleak.analysis import wording

        leaks = [one for one in variant.gauges if one.is_leak]
        shown = "; ".join(wording.short(one.readable) for one in _main(leaks)) or variant.verdict
        self.tell(f"so far: {shown}" + "; it may be a cache that fills" * may_fill)
        with self._lock:
            self._leaks = leaks
            for capture in self.captures.values():
                self._tell_of(capture)

    def stored(self, folder: Path) -> None:
        """Take in a capture, and tell what it shows of what leaks."""
        from resleak.captures.frames import Capture

        capture = Capture(folder)
        with self._lock:
            self.captures[folder] = capture
            self._tell_of(capture)

    def _tell_of(self, capture: Capture) -> None:
        with suppress(ResleakError):  # the answer will say what is wrong with it
            for line in _clues(capture, self._leaks):
                self.tell(line)


def _main(leaks: list[GaugeVerdict]) -> list[GaugeVerdict]:
    """Return the gauges of resources, and only the most telling gauge of memory."""
    by_family = {one.family: one for one in reversed(leaks)}
    memory = next((by_family[name] for name in _MEMORY if name in by_family), None)
    return [one for one in leaks if one is memory or one.family not in _MEMORY]


def _clues(capture: Capture, leaks: list[GaugeVerdict]) -> Iterator[str]:
    """Yield what one capture shows of the gauges that leak."""
    from resleak.analysis import handle_origins, inspection, stacks
    from resleak.captures.frames import Captures

    grows = any(one.family in ("memory", "objects") for one in leaks)
    if capture.instrument == "handles":
        places = handle_origins.first_places(handle_origins.origins([capture], leaks))
        yield from (f"{gauge}: created at {place}" for gauge, place in places.items())
    elif capture.instrument == "memray" and grows:
        sites = stacks.sites([capture])
        sure = sites[sites["low"].gt(0) & sites["file"].ne("")].head(1)
        for row in sure.itertuples():
            share = f"{100 * row.share:.0f} % of the growth that memray saw"
            yield f"memory: allocated at {row.file}:{row.line} in {row.function}, {share}"
    elif capture.instrument == "forensics" and grows:
        kept = inspection.inspected(Captures([capture])).retention.head(1)
        yield from (f"memory: kept by {row.path}" for row in kept.itertuples())
