"""What a plan would cost, before anything of it is measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from resleak import formatting
from resleak.captures.store.record import Record
from resleak.captures.store.store import Store
from resleak.errors import StoreError
from resleak.experiments.sweep import plan as plans

#: Seconds and bytes of a run of which the store has no like: assumed, and said to be.
_ASSUMED_S, _ASSUMED_BYTES = 3.0, 20_000
#: Stored runs that are looked at for one estimate.
_SAMPLE = 200


@dataclass(frozen=True)
class Estimate:
    """Runs of a plan's first round, and in all rounds at most, with their cost."""

    cells: int
    runs: int
    most_runs: int
    stored: int
    core_hours: float
    bytes: float
    #: True if the store has runs of the same scenarios to go by.
    is_measured: bool
    absent: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        basis = "as such runs took" if self.is_measured else "assumed: the store has none like it"
        cost = f"{formatting.number(self.core_hours)} core hours and "
        cost += formatting.amount(self.bytes, "B")
        lines = [
            f"{self.runs} runs in {self.cells} cells; {self.stored} are stored already; "
            f"undecided cells may take it to {self.most_runs}.",
            f"The rest takes about {cost} ({basis}).",
        ]
        return "\n".join([*lines, *(f"cannot run: {one}" for one in self.absent)])


def estimate(path: Path, url: str) -> Estimate:
    """Expand a plan and count: environments are built, workloads described, and none is run."""
    plan = plans.read(path)
    expansion = plans.expand(plan, path.absolute().parent)
    runs = expansion.rounds(0)
    rounds = [len(expansion.rounds(number)) for number in range(plan.rounds)]
    keys, records = _stored(url)
    todo = [run for run in runs if run.key not in keys]
    like = [one for one in records if one.spec.scenario in {r.spec.scenario for r in todo}]
    seconds = fmean(one.seconds for one in like) if like else _ASSUMED_S
    size = fmean(one.size for one in like) if like else _ASSUMED_BYTES
    return Estimate(
        cells=len(expansion.cells),
        runs=len(runs),
        most_runs=sum(rounds),
        stored=len(runs) - len(todo),
        core_hours=len(todo) * seconds / 3600,
        bytes=len(todo) * size,
        is_measured=bool(like),
        absent=tuple(f"{a.scenario} {a.label}: {a.message}" for a in expansion.absent),
    )


def _stored(url: str) -> tuple[set[str], Iterable[Record]]:
    try:
        store = Store.opened(url)
    except StoreError:
        return set(), []  # it is made with the first run
    keys = store.keys()
    return keys, list(store.records(sorted(keys)[:_SAMPLE]))
