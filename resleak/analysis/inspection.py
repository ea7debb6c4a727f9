"""Who is to blame, in words: what keeps a process alive, blocks its steps, holds what it leaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from resleak import formatting
from resleak.captures.frames import Capture, Captures
from resleak.errors import StoreError
from resleak.workload.scenario import BROKEN, HANGS

#: Tables of a run with the instrument ``forensics``; see ``data/README.md`` for their columns.
TABLES = ("exit", "stalls", "locks", "lost", "retention", "cycles")
#: Share of the steps' time from which on a line that blocks the loop, or runs, is named.
_BLOCKS, _RUNS = 0.2, 0.5
_NEVER_RESTS = 0.9
#: Seconds below which a line was seen too seldom to be blamed: twenty looks.
_SEEN_S = 0.1
#: How many are named in one sentence.
_NAMED = 3
_VERBS = {"runs": ("runs", "run"), "waits": ("waits", "wait")}
_MADE = {
    "thread": "started",
    "executor": "submitted",
    "task": "made",
    "process": "started",
    "atexit handler": "registered",
    "finalizer": "registered",
}


@dataclass
class Culprits:
    """What the inspection of one variant found.

    Attributes
    ----------
    status : str
        How the inspected run ended: see `resleak.captures.frames.Capture.exit`.
    ending : dict
        ``by`` (``itself``, ``force`` or ``a kill``), and of a forced end its ``thread``, ``at`` and
        ``made_at``.
    exit, stalls, locks, lost, retention, cycles : DataFrame
        As ``data/README.md`` describes them.
    """

    status: str = ""
    ending: Mapping[str, str] = field(default_factory=dict)
    exit: pd.DataFrame = field(default_factory=pd.DataFrame)
    stalls: pd.DataFrame = field(default_factory=pd.DataFrame)
    locks: pd.DataFrame = field(default_factory=pd.DataFrame)
    lost: pd.DataFrame = field(default_factory=pd.DataFrame)
    retention: pd.DataFrame = field(default_factory=pd.DataFrame)
    cycles: pd.DataFrame = field(default_factory=pd.DataFrame)

    def sentences(self, symptoms: Mapping[str, set[str]], *, timed: bool = True) -> list[str]:
        """Say who is to blame for each symptom, as far as the inspection shows it.

        Parameters
        ----------
        symptoms : mapping of str to set of str
            Gauge, or ``run``, to what is wrong with it.
        timed : bool
            Whether a limit of time is broken. If not, that something waits explains nothing; that
            it never rests may.

        Returns
        -------
        list of str
            Empty without symptoms.
        """
        words = set().union(*symptoms.values())
        told: list[str] = []
        if not symptoms:
            return told
        told += self._deadlock()
        if HANGS in words:
            told += self._hangs()
        if BROKEN in words:
            told += [*self._slow_end(symptoms), *self._forced(), *self._stall(symptoms, timed)]
        if "leak" in words:
            told += self._held()
        if "deferred" in words:
            told += self._cycle()
        return told

    def _hangs(self) -> Iterator[str]:
        if self._has_deadlock:
            return
        if self.status == "hung":
            yield f"does not end: {self._holders()}{self._losses()}"
        elif self.status == "deadline":
            yield f"does not get on: {self._holders()}"

    @property
    def _holding(self) -> pd.DataFrame:
        return self.exit[self.exit["holds"]] if len(self.exit) else self.exit

    def _holders(self) -> str:
        return self._told(self._holding) or "what holds it could not be seen"

    def _told(self, held: pd.DataFrame) -> str:
        if not len(held):
            return ""
        groups = held.groupby(["what", "at"], sort=False)
        told = [self._holder(group.iloc[0], len(group)) for _, group in groups]
        return "; ".join(told[:_NAMED])

    def _holder(self, row: pd.Series, count: int) -> str:
        made = f", {_MADE[row['what']]} at {row['made_at']}" if row["made_at"] else ""
        if row["what"] == "process":
            return f"{_name(row, count)}{made}"
        return f"{_name(row, count)}{made}{', ' if made else ' '}{_standing(row, count)}"

    def _slow_end(self, symptoms: Mapping[str, set[str]]) -> Iterator[str]:
        if not {"exit_s", "cleanup_s"} & set(symptoms) or self.status == "hung":
            return
        held = self._holding
        if len(held):
            row = held.sort_values("seconds", ascending=False).iloc[0]
            seconds = formatting.amount(float(row["seconds"]), "s")
            yield f"ends late: for {seconds} {self._holder(row, 1)}"

    def _forced(self) -> Iterator[str]:
        if self.ending.get("by") != "force":
            return
        made = f", started at {self.ending['made_at']}" if self.ending["made_at"] else ""
        by = f"thread {self.ending['thread']!r}{made}"
        others = self._holding[self._holding["name"].ne(self.ending["thread"])]
        rest = f"; it cuts off {self._told(others)}" if len(others) else ""
        yield f"ends by force: os._exit in {by}{rest}{self._losses()}"

    def _losses(self) -> str:
        told = [
            f"{_amount(row)} in a {row['kind']} ({row['name']})"
            for row in self.lost.head(_NAMED).to_dict(orient="records")
        ]
        return f"; lost with it: {', '.join(told)}" if told else ""

    @property
    def _has_deadlock(self) -> bool:
        return bool(len(self.locks)) and bool(self.locks["deadlock"].any())

    def _deadlock(self) -> Iterator[str]:
        if not self._has_deadlock:
            return
        rows = self.locks[self.locks["deadlock"]].drop_duplicates(["at", "taken_at"])
        told = [
            f"thread {row['thread']!r} waits at {row['at']} for the lock that"
            f" {row['holder']!r} took at {row['taken_at']}"
            for row in rows.head(_NAMED).to_dict(orient="records")
        ]
        yield f"deadlock: {'; '.join(told)}"

    def _stall(self, symptoms: Mapping[str, set[str]], timed: bool) -> Iterator[str]:
        if self.stalls.empty:
            return
        named = ~self.stalls["at"].str.match("<stdlib>|$")
        rows = self.stalls[named & self.stalls["seconds"].gt(_SEEN_S)]
        blocks = rows[rows["kind"].eq("blocks the loop") & rows["share"].gt(_BLOCKS)]
        runs = rows[rows["kind"].eq("runs") & rows["share"].gt(_RUNS if timed else _NEVER_RESTS)]
        slow = rows[rows["kind"].ne("runs")] if "step_s" in symptoms else rows[:0]
        telling = (blocks, runs, slow) if timed else (runs,)
        chosen = next((found for found in telling if len(found)), None)
        if chosen is None:
            return
        row = chosen.iloc[0]
        time = f"{formatting.share(row['share'])} of the time of its steps"
        longest = formatting.amount(float(row["longest_s"]), "s")
        loop = f", in the loop at {row['loop']}" if row["loop"] else ""
        within = f" ({row['waits_in']})" if row["waits_in"] else ""
        yield f"{row['kind']} {time} at {row['at']}{within}{loop}, {longest} at a time"

    def _held(self) -> Iterator[str]:
        for row in self.retention.head(1).to_dict(orient="records"):
            rate = f"{formatting.number(row['per_step'])} {row['type']} per step"
            yield f"holds {rate}: {row['path']}"

    def _cycle(self) -> Iterator[str]:
        for row in self.cycles.head(1).to_dict(orient="records"):
            holds = f", with {row['holds']}" if row["holds"] else ""
            rate = f"{formatting.number(row['per_step'])} per step"
            yield f"waits for the collector, {rate}: the cycle {row['cycle']}{holds}"


def inspected(captures: Captures) -> Culprits:
    """Read what the inspection of one variant found; empty if it was not inspected.

    Parameters
    ----------
    captures : Captures
        All runs of one variant.
    """
    runs = captures.select(instrument="forensics")
    if not len(runs):
        return Culprits()
    run = runs[0]
    tables = {name: _table(run, name) for name in TABLES}
    return Culprits(run.exit.status, asdict(run.manifest.ending), **tables)


def _table(run: Capture, name: str) -> pd.DataFrame:
    try:
        return run.table(name)
    except StoreError:
        return pd.DataFrame()


def _name(row: pd.Series, count: int) -> str:
    if row["what"] == "executor":
        return "a call in an executor" if count == 1 else f"{count} calls in an executor"
    if row["what"] in ("clean-up", "interpreter"):
        return f"the {row['what']}"
    if count > 1:
        return f"{count} of {row['what']}"
    daemon = {"yes": " (a daemon)", "no": " (not a daemon)"}.get(row["daemon"], "")
    name = f" {row['name']!r}" if row["name"] else ""
    article = "" if name else "a "
    return f"{article}{row['what']}{name}{daemon}"


def _amount(row: Mapping[Any, Any]) -> str:
    amount = formatting.amount(float(row["amount"]), "B" if row["unit"] == "B" else "")
    return amount if row["unit"] == "B" else f"{amount} {row['unit']}"


def _standing(row: pd.Series, count: int) -> str:
    if row["loop"]:
        return f"spins in the loop at {row['loop']}, at {row['at']}"
    verb = _VERBS.get(row["state"], ("is", "are"))
    within = f" in {row['waits_in']}" if row["waits_in"] else ""
    return f"{verb[count > 1]}{within} at {row['at']}"
