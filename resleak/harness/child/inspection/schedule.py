"""Schedule the censuses of retained objects and cycles: at each third of the load."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from resleak.harness.child.inspection import cycles
from resleak.harness.child.inspection.object_graph import Root
from resleak.harness.child.inspection.retention import Retention

_THIRDS = 3
_GENERATORS = (GeneratorType, AsyncGeneratorType)


class Schedule:
    """Takes a census between steps, when the driver of a run allows it."""

    def __init__(
        self, facts: dict[str, Any], ours: Callable[[], tuple[list[Any], set[int]]]
    ) -> None:
        self._facts, self._ours = facts, ours
        self._retention, self._thirds = Retention(), 0
        #: Steps done when the collector was stopped; None while it runs as it likes.
        self._stopped: int | None = None

    def at(self, driver: Any) -> None:
        """Take a census if it is due; the collector must have run, or runs right after."""
        done = driver.samples.done - driver.spec["warmup"]
        if self._stopped is not None and done > self._stopped:
            self._facts["cycles"] = cycles.collect(done - self._stopped)
            self._stopped = None
            gc.enable()
        thirds = done * _THIRDS // driver.spec["steps"]
        if thirds > self._thirds:
            gc.collect()
            self._thirds = thirds
            ours, threads = self._ours()
            rows = self._retention.mark(done, [*_set_up(driver)], [*ours, self], threads)
            self._facts.setdefault("retention", []).extend(rows)
            if thirds == 1 and gc.isenabled():
                gc.disable()
                self._stopped = done


def _set_up(driver: Any) -> Iterator[Root]:
    """Yield the fixture, and the set-up's generator, whose variables live on."""
    yield "set-up", driver.fixture
    code = getattr(driver.scenario.setup_function, "__code__", "")
    generators = [one for one in gc.get_objects() if isinstance(one, _GENERATORS)]
    for one in generators:
        if code in (getattr(one, "gi_code", None), getattr(one, "ag_code", None)):
            yield "set-up", one
