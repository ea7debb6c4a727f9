"""Measure a loop within this process: quick, but without replicates or lines."""

from __future__ import annotations

import gc
import html
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from resleak import formatting
from resleak.analysis import verdicts
from resleak.captures import raw, storage, tables
from resleak.captures.decode import trace as assemble
from resleak.captures.frames import Capture, Captures
from resleak.captures.locks import temporary_folder
from resleak.captures.manifest import Manifest, described, now, session
from resleak.captures.names import inside
from resleak.captures.raw import ProcessOutcome
from resleak.errors import ScenarioError
from resleak.harness import control_groups
from resleak.harness.child import self_gauges
from resleak.harness.child.recorder import SETTLE_ROUNDS, SampleLoop
from resleak.harness.measurement import host
from resleak.workload.gauges import BUILTIN, missing

#: What no measurement within one process can do.
CAUTIONS = (
    "measured once, in the process you work in: no second run confirms it, and what other threads "
    "do counts",
    "small objects are counted as blocks, not bytes, and no line is named; `resleak investigate` "
    "does both, in fresh processes",
)
_WARMUP, _STEADY, _SETTLE = (raw.PHASES.index(name) for name in ("warmup", "steady", "settle"))
_VARIANT = "here"


class Measured:
    """A piece of work in this process; made by `measure`.

    `before` and `after` are the gauges at both ends of the block.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder = name, folder
        self._started, self._session, self._began = time.monotonic(), session(), now()
        self._columns: dict[str, Any] = {}
        self._units: dict[str, str] = {}
        self._taken = self._warmup = 0
        self.before, self.after = _readings(), dict[str, float]()

    def steps(
        self, count: int = 200, *, warmup: int | None = None, block: int | None = None
    ) -> Iterator[int]:
        """Yield the number of each step, warm-up included; the loop's body is one step.

        `count` is of the steps that count; before them are `warmup` others, by default a quarter as
        many. `block` is the number of steps between two collections, by default a twentieth.
        """
        if self._columns:
            raise ScenarioError(f"{self.name} was measured already; measure again for more steps")
        warmup = count // 4 if warmup is None else warmup
        block = max(1, count // 20) if block is None else block
        if count < 1 or warmup < 0 or block < 1:
            raise ScenarioError(f"{self.name}: steps and block are at least 1, warmup at least 0")
        readers, slow = self_gauges.inside_readers(), self_gauges.slow_readers()
        samples = SampleLoop(self._folder, readers, slow, warmup + count, block, self._started)
        try:
            for number in range(warmup + count):
                yield number
                phase = _WARMUP if number < warmup else _STEADY
                samples.step(phase, is_read=True)
                if samples.done % block == 0:
                    samples.collect(phase)
        finally:  # of a loop that was left early, the steps that it took count
            self._warmup = min(warmup, samples.done)
            self._taken = samples.done - self._warmup
            self_gauges.trim_heap()
            for _ in range(SETTLE_ROUNDS):
                samples.collect(_SETTLE)
            self._columns, self._units = assemble.trace(self._folder, ProcessOutcome(), [])

    @cached_property
    def capture(self) -> Capture:
        """The readings as a capture."""
        if not self._columns:
            raise ScenarioError(f"{self.name} was not repeated: `for i in m.steps(200): ...`")
        trace = pd.DataFrame(self._columns)
        trace.attrs["units"] = self._units
        what = described(self.name, self.name, {_VARIANT: "in the process it was asked from"})
        manifest = Manifest(
            scenario=what,
            variant=_VARIANT,
            session=self._session,
            started=self._began,
            steps=self._taken,
            warmup=self._warmup,
            host=host() | control_groups.of_this_process(),
            missing=tuple(missing(set(self._columns))),
        )
        return Capture.live(manifest, trace)

    @cached_property
    def judgement(self) -> verdicts.ScenarioVerdict:
        """The verdicts, as `resleak.judge` returns them."""
        return verdicts.judge(Captures([self.capture]))

    @property
    def judged(self) -> verdicts.VariantVerdict:
        """The verdict on the only variant."""
        return self.judgement.variants[_VARIANT]

    @property
    def verdict(self) -> str:
        """The worst verdict."""
        return self.judged.verdict

    @property
    def leaks(self) -> bool:
        """True if any gauge leaks, or is deferred."""
        return bool(self.judged.symptoms)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per gauge."""
        return self.judgement.frame

    def save(self, out: Path | str = "captures") -> Path:
        """Store it as a capture, for `resleak.load` and `resleak.compare`."""
        folder = inside(Path(out), self.name, _VARIANT, "gauges-01")
        with storage.writing(folder) as partial:
            tables.write_table(partial / "trace.parquet", self._columns, self._units)
            storage.write_manifest(partial, self.capture.manifest)
        return folder

    def __repr__(self) -> str:
        if self._columns:
            return "\n".join([self.judgement.sentence(_VARIANT), *CAUTIONS])
        grown = {name: self.after.get(name, value) - value for name, value in self.before.items()}
        changes = [f"{n} {formatting.amount(v, BUILTIN[n].unit)}" for n, v in grown.items()]
        again = "one time proves nothing: `for i in m.steps(200): ...`"
        return f"{self.name}, once: {', '.join(changes)}; {again}"

    def _repr_html_(self) -> str:
        return "".join(f"<p>{html.escape(line)}</p>" for line in str(self).splitlines())


@contextmanager
def measure(name: str = "work") -> Iterator[Measured]:
    """Measure what a block does, in this process.

    Parameters
    ----------
    name : str
        What it is called.

    Yields
    ------
    Measured
        ``for i in m.steps(200): ...`` within the block repeats; afterwards ``m.verdict``,
        ``m.frame`` and ``print(m)`` tell. Without repetition only the difference is known.
    """
    with temporary_folder() as folder:
        measured = Measured(name, folder)
        yield measured
        measured.after = _readings()


def _readings() -> dict[str, float]:
    gc.collect()
    return {name: read() for name, read in self_gauges.inside_readers().items()}
