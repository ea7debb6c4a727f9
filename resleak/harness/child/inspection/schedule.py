"""When to take stock: of what has stayed at each third of the load, and of the cycles it makes."""

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


class Stock:
    """Takes stock between steps, at moments that the driver of a run chooses.

    Parameters
    ----------
    facts : dict
        Receives ``retention`` and ``cycles``.
    ours : callable
        Returns the objects that measure, and our own threads: see `object_graph`.
    """

    def __init__(
        self, facts: dict[str, Any], ours: Callable[[], tuple[list[Any], set[int]]]
    ) -> None:
        self._facts, self._ours = facts, ours
        self._retention, self._thirds = Retention(), 0
        #: Steps done when the collector was stopped; None while it runs as it likes.
        self._stopped: int | None = None

    def at(self, driver: Any) -> None:
        """Take stock if it is time; the collector must have run, or runs right after."""
        done = driver.step - driver.spec["warmup"]
        if self._stopped is not None and done > self._stopped:
            self._facts["cycles"] = cycles.collect(done - self._stopped)
            self._stopped = None
            gc.enable()
        thirds = done * _THIRDS // driver.spec["steps"]
        if thirds > self._thirds:
            gc.collect()
            self._thirds = thirds
            ours, threads = self._ours()
            found = self._retention.mark(done, [*_set_up(driver)], [*ours, self], threads)
            self._facts.setdefault("retention", []).extend(found)
            if thirds == 1 and gc.isenabled():
                gc.disable()
                self._stopped = done


def _set_up(driver: Any) -> Iterator[Root]:
    """Yield what the set-up yielded, and the set-up itself, whose variables live on."""
    yield "set-up", driver.world
    code = getattr(driver.scenario.setup_function, "__code__", "")
    generators = [one for one in gc.get_objects() if isinstance(one, _GENERATORS)]
    for one in generators:
        if code in (getattr(one, "gi_code", None), getattr(one, "ag_code", None)):
            yield "set-up", one
