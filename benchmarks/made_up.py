"""Check on synthetic traces of known rates that intervals cover them, and noise is no leak.

    python benchmarks/made_up.py --times 200

Prints, for each shape, the share of 95 % intervals that cover the true rate with three and with
five runs of 240 steps; then how many of 1 000 sets of five runs without growth are called a leak.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import signal, stats

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from helpers import traces as made

from resleak.analysis import growth, statistics

AT = np.arange(301)
#: After each block of the measured steps there is one point.
POINTS = np.arange(60, 301, 10)
Shape = Callable[[np.random.Generator], np.ndarray]


def wandering(rng: np.random.Generator, size: float, memory: float) -> np.ndarray:
    """Return noise around a level that is autocorrelated over a number of steps."""
    keep = np.exp(-1 / memory)
    steps = rng.normal(0, size * np.sqrt(1 - keep**2), len(AT))
    steps[0] = rng.normal(0, size)
    return np.asarray(signal.lfilter([1], [1, -keep], steps))


def chance(share: float) -> Shape:
    """Return a curve that grows by one per step with some probability."""
    return lambda rng: np.cumsum(rng.random(len(AT)) < share).astype(float)


#: True rate and curve per shape; these are random.
BY_CHANCE: dict[str, tuple[float, Shape]] = {
    "white noise": (100, lambda rng: 100 * AT + rng.normal(0, 2000, len(AT))),
    "heavy tails": (100, lambda rng: 100 * AT + 500 * rng.standard_t(2, len(AT))),
    "noise that lasts 5 steps": (100, lambda rng: 100 * AT + wandering(rng, 300, 5)),
    "noise that lasts 20 steps": (100, lambda rng: 100 * AT + wandering(rng, 2000, 20)),
    "noise that lasts 80 steps": (100, lambda rng: 100 * AT + wandering(rng, 2000, 80)),
    "a cache 200 times the leak": (100, lambda rng: 100 * AT + wandering(rng, 20_000, 30)),
    "three in ten steps": (0.3, chance(0.3)),
    "one in twenty steps": (0.05, chance(0.05)),
    "sizes of all kinds": (
        100,
        lambda rng: np.cumsum(rng.lognormal(np.log(100) - 0.5, 1, len(AT))),
    ),
}
EXACT: dict[str, tuple[float, Shape]] = {
    "every step": (1, lambda _: 1.0 * AT),
    "every 17th step": (1 / 17, lambda rng: (AT + rng.integers(17)) // 17 * 1.0),
    "every 100th step": (1 / 100, lambda rng: (AT + rng.integers(100)) // 100 * 1.0),
    "twenty every 20th step": (1, lambda _: AT // 20 * 20.0),
}
LEVEL = {
    "white noise": made.noise(4096),
    "aimless wandering": made.walk(200),
    "a full cache": lambda at, rng: 1e6 + wandering(rng, 20_000, 30)[: len(at)],
    "batches of 97": lambda at, _: 1e6 + 300.0 * (at % 97),
    "all sizes up to 100 kB": lambda at, rng: 1e6 + rng.uniform(0, 1e5, len(at)),
}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    times = parser.parse_args().times
    for kind, shapes in (("by chance", BY_CHANCE), ("exact", EXACT)):
        for runs in (3, 5):
            hits = {name: covered(*shape, runs, times) for name, shape in shapes.items()}
            for name, count in hits.items():
                print(f"{runs} runs, {name}: {count / times:.3f}")
            print(f"{runs} runs, all {kind}: {told(sum(hits.values()), times * len(shapes))}")
    alarms = {name: called(curve, times) for name, curve in LEVEL.items()}
    print(f"called a leak: {alarms}; {told(sum(alarms.values()), times * len(alarms))}")


def covered(truth: float, shape: Shape, runs: int, times: int) -> int:
    """Return how many intervals cover the true rate."""
    rng = np.random.default_rng(11)
    found = [statistics.rate([_points(shape(rng)) for _ in range(runs)]) for _ in range(times)]
    return sum(one.low - 1e-9 <= truth <= one.high + 1e-9 for one in found)


def _points(curve: np.ndarray) -> np.ndarray:
    return np.column_stack([POINTS, curve[POINTS]]).astype(float)


def called(curve: made.Curve, times: int) -> int:
    """Return how many sets of five runs without growth are called a leak."""
    found = [
        growth.judge(made.trace(curve, gauge="bytes", runs=5, seed=7 * n), {"bytes": made.BYTES})
        for n in range(times)
    ]
    return sum(one[0].is_leak for one in found)


def told(hits: int, of: int) -> str:
    """Return a share with its interval (Clopper and Pearson)."""
    bounds = stats.binomtest(hits, of).proportion_ci(method="exact")
    return f"{hits} of {of} = {hits / of:.4f} [{bounds.low:.4f}, {bounds.high:.4f}]"


if __name__ == "__main__":
    main()
