"""Made-up traces with known answers: the judge is tested on these, without starting a process."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from resleak.workload.gauges import Gauge

Curve = Callable[[np.ndarray, np.random.Generator], np.ndarray]

COUNT = Gauge("count", "entries")
BYTES = Gauge("bytes", "B", family="memory", floor=16, rise=64 * 1024)
WARMUP, BLOCK = 60, 10


def trace(
    curve: Curve,
    *,
    gauge: str = "count",
    steps: int = 240,
    runs: int = 3,
    waiting: float = 0.0,
    drains: bool = False,
    variant: str = "leaky",
    seed: int = 0,
) -> pd.DataFrame:
    """Return a trace of one gauge that follows a curve.

    Parameters
    ----------
    curve : callable
        Given steps, counted from the first of the warm-up, and a generator: values.
    waiting : float
        Units per step that pile up between collections and fall at each.
    drains : bool
        Whether the gauge returns to its first value once the load stops.
    """
    frames = [
        _run(curve, gauge, steps, waiting, drains, np.random.default_rng(seed + run)).assign(
            run=run
        )
        for run in range(1, runs + 1)
    ]
    return pd.concat(frames, ignore_index=True).assign(scenario="made/up", variant=variant)


def _run(
    curve: Curve,
    gauge: str,
    steps: int,
    waiting: float,
    drains: bool,
    rng: np.random.Generator,
) -> pd.DataFrame:
    at = np.arange(WARMUP + steps + 1)
    values = np.asarray(curve(at, rng), dtype=float)
    rows = []
    for step in at[1:]:
        phase, block = ("warmup" if step <= WARMUP else "steady"), (step - 1) // BLOCK
        since = (step - 1) % BLOCK + 1
        rows.append((step, block, phase, "step", values[step] + waiting * since))
        if step % BLOCK == 0:
            rows.append((step, block, phase, "before_collect", values[step] + waiting * BLOCK))
            rows.append((step, block, phase, "after_collect", values[step]))
    last = values[0] if drains else values[-1]
    rows.append((at[-1], block + 1, "settle", "after_collect", last))
    frame = pd.DataFrame(rows, columns=["step", "block", "phase", "moment", gauge])
    return frame.assign(t_s=frame["step"] * 0.01)


def flat(at: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    """Stay at 100."""
    return np.full(len(at), 100.0)


def ramp(per_step: float, noise: float = 0.0) -> Curve:
    """Climb by so much a step."""
    return lambda at, rng: 100 + per_step * at + rng.normal(0, noise, len(at)) * (noise > 0)


def plateau(full: float, at_step: float) -> Curve:
    """Fill in a straight line up to a bound."""
    return lambda at, _: full * np.minimum(at / at_step, 1.0)


def filling(full: float, tau: float) -> Curve:
    """Fill ever more slowly, as a cache of random keys does."""
    return lambda at, _: full * (1 - np.exp(-at / tau))


def every(nth: int, by: float = 1.0) -> Curve:
    """Climb at every n-th step only."""
    return lambda at, _: 100 + by * (at // nth)


def from_step(onset: int, per_step: float = 1.0) -> Curve:
    """Climb from a step on."""
    return lambda at, _: 100 + per_step * np.maximum(at - onset, 0)


def noise(size: float) -> Curve:
    """Scatter around a level."""
    return lambda at, rng: 1e6 + rng.normal(0, size, len(at))


def walk(size: float) -> Curve:
    """Wander without aim: what follows depends on what was, which tempts a trend test."""
    return lambda at, rng: 1e6 + np.cumsum(rng.normal(0, size, len(at)))
