"""The estimated cost of a plan, before anything is measured."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean

from resleak import formatting
from resleak.captures.store.record import Record
from resleak.captures.store.store import Store
from resleak.errors import StoreError
from resleak.experiments.sweep import plan as plans

#: Seconds and bytes of a run of which the store has no like.
_ASSUMED_S, _ASSUMED_BYTES = 3.0, 20_000
#: Stored runs that are looked at for one estimate.
_SAMPLE = 200


@dataclass(frozen=True)
class Estimate:
    """Runs of a plan's first round, and in all rounds at most, with the cost of those to come.

    `is_measured`: the store has runs of the same workloads, and the cost is their mean.
    """

    cells: int
    runs: int
    most_runs: int
    stored: int
    core_hours: float
    bytes: float
    is_measured: bool
    absent: tuple[str, ...]

    def __str__(self) -> str:
        basis = "as such runs took" if self.is_measured else "assumed: the store has none like it"
        hours, size = formatting.number(self.core_hours), formatting.amount(self.bytes, "B")
        runs, cells = map(formatting.counted, (self.runs, self.cells), ("run", "cell"))
        lines = [
            f"{runs} in {cells}; {self.stored} are stored already; "
            f"undecided cells may take it to {self.most_runs}.",
            f"The rest takes about {hours} core hours and {size} ({basis}).",
        ]
        return "\n".join([*lines, *(f"cannot run: {one}" for one in self.absent)])


def estimate(path: Path, url: str) -> Estimate:
    """Expand a plan and count: environments are built, workloads described, and none is run."""
    plan = plans.read(path)
    expansion = plans.expand(plan, path.absolute().parent)
    rounds = [expansion.rounds(number) for number in range(plan.rounds)]
    keys: set[str] = set()
    like: list[Record] = []
    with suppress(StoreError):  # it is made with the first run
        store = Store.opened(url)
        keys = store.keys()
        names = {run.spec.scenario for run in rounds[0]}
        sample = store.records(islice(sorted(keys), _SAMPLE))
        like = [one for one in sample if one.spec.scenario in names]
    todo = sum(run.key not in keys for run in rounds[0])
    return Estimate(
        cells=len(expansion.cells),
        runs=len(rounds[0]),
        most_runs=sum(map(len, rounds)),
        stored=len(rounds[0]) - todo,
        core_hours=todo * fmean([one.seconds for one in like] or [_ASSUMED_S]) / 3600,
        bytes=todo * fmean([one.size for one in like] or [_ASSUMED_BYTES]),
        is_measured=bool(like),
        absent=tuple(f"{a.scenario} {a.label}: {a.message}" for a in expansion.absent),
    )
