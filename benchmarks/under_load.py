"""Count verdicts on made-up services under a changing load, with and without a counter of requests.

    python benchmarks/under_load.py [--seconds 600] [--seeds 12] [--json FILE]

Each service is judged once: resident memory over one window, one reading per second. Its requests
arrive at random with the rate of its load. `confirmed` are leaks that are called leak.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator

from resleak.analysis import growth
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.workload.gauges import BUILTIN

MIB = 1024.0**2
#: Requests per second, of a share of the window in 0 ... 1.
Load = Callable[[np.ndarray, Generator], np.ndarray]
#: Mebibytes, of the load relative to its most, the requests so far relative to all, and the share.
Kind = Callable[[np.ndarray, np.ndarray, np.ndarray, Generator], np.ndarray]

LOADS: dict[str, Load] = {
    "steady": lambda x, rng: np.full(len(x), 20.0),
    "rises": lambda x, rng: 20 * (1 + rng.uniform(0.2, 3) * x),
    "rises from nothing": lambda x, rng: 40 * x + 0.5,
    "rises a little": lambda x, rng: 20 * (1 + 0.1 * x),
    "falls": lambda x, rng: 60 * (1 - x * rng.uniform(0.3, 0.98)),
    "waves": lambda x, rng: (
        20 * (1 + 0.8 * np.sin(2 * np.pi * (x * rng.uniform(0.5, 4) + rng.uniform())))
    ),
    "bursts": lambda x, rng: np.where(_near(x, rng.random(8)), 45.0, 5.0),
    "starts": lambda x, rng: 20 * np.minimum(1, x * rng.uniform(1.5, 6)) + 1,
    "stops": lambda x, rng: np.where(x < rng.uniform(0.4, 0.8), 20.0, 0.0),
}
CLEAN: dict[str, Kind] = {
    "constant": lambda load, done, x, rng: 0 * x,
    "level with the load": lambda load, done, x, rng: load * rng.uniform(2, 150),
    "level with its square": lambda load, done, x, rng: load**2 * rng.uniform(2, 150),
    "level with its root": lambda load, done, x, rng: np.sqrt(load) * rng.uniform(2, 150),
    "pool of the most load": lambda load, done, x, rng: (
        np.maximum.accumulate(load) * rng.uniform(2, 150)
    ),
    "level that lags": lambda load, done, x, rng: (
        np.convolve(load, np.full(len(x) // 8, 8 / len(x)))[: len(x)] * rng.uniform(2, 150)
    ),
    "cache": lambda load, done, x, rng: (
        rng.uniform(20, 100) * (1 - np.exp(-done * rng.uniform(1.5, 8)))
    ),
}
LEAKS: dict[str, Kind] = {
    "leak per request": lambda load, done, x, rng: done * rng.uniform(20, 150),
    "leak per second": lambda load, done, x, rng: x * rng.uniform(20, 150),
    "leak per request, and a level": lambda load, done, x, rng: (
        done * rng.uniform(40, 150) + 20 * load
    ),
}


def service(kind: str, load: str, seed: int, seconds: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Return resident bytes and requests so far, one of each per second."""
    rng = np.random.default_rng([zlib.crc32(f"{kind} {load}".encode()), seed])
    x = np.linspace(0, 1, seconds)
    rate = LOADS[load](x, rng) * rng.choice([0.1, 1, 10])
    requests = np.cumsum(rng.poisson(rate)).astype(float)
    grown = (CLEAN | LEAKS)[kind](rate / rate.max(), requests / requests[-1], x, rng)
    noise = rng.normal(0, 0.3, seconds) + 0.3 * np.sin(np.arange(seconds) / 7)
    return (50 + grown + noise) * MIB, requests


def verdict(rss: np.ndarray, requests: np.ndarray | None = None) -> GaugeVerdict:
    """Judge one reading per second of a process."""
    at = np.arange(len(rss), dtype=float)
    trace = pd.DataFrame({"variant": "process", "run": 1, "t_s": at, "step": at, "rss": rss})
    trace = trace.assign(block=np.arange(len(rss)), phase="steady", moment="reading")
    if requests is not None:
        trace = trace.assign(requests=requests)
    trace.attrs["per"] = "s"
    return growth.judge(trace, {"rss": BUILTIN["rss"]})[0]


def count(seconds: int, seeds: int, *, counted: bool) -> dict[str, dict[str, int]]:
    """Return how often each kind got each verdict."""
    words: dict[str, dict[str, int]] = {}
    for kind in CLEAN | LEAKS:
        verdicts: Counter[str] = Counter()
        for load in LOADS:
            for seed in range(seeds):
                rss, requests = service(kind, load, seed, seconds)
                verdicts[verdict(rss, requests if counted else None).verdict] += 1
        words[kind] = dict(verdicts)
    return words


def summary(words: dict[str, dict[str, int]]) -> dict[str, int]:
    """Return the numbers that matter."""
    return {
        "clean": sum(sum(words[kind].values()) for kind in CLEAN),
        "clean, called leak": sum(words[kind].get("leak", 0) for kind in CLEAN),
        "leaks": sum(sum(words[kind].values()) for kind in LEAKS),
        "leaks, confirmed": sum(words[kind].get("leak", 0) for kind in LEAKS),
        "leaks, called flat or plateau": sum(
            words[kind].get(word, 0) for kind in LEAKS for word in ("flat", "plateau")
        ),
    }


def _near(x: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.asarray((np.abs(x[:, None] - places) < 0.02).any(axis=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    answer = {}
    for name, counted in (("with a counter", True), ("without", False)):
        words = count(options.seconds, options.seeds, counted=counted)
        answer[name] = {"summary": summary(words), "verdicts": words}
        print(name, json.dumps(answer[name], indent=1))
    if options.json:
        options.json.write_text(json.dumps(answer, indent=1) + "\n")


if __name__ == "__main__":
    main()
