"""The corpora at the default command: each side of their workloads, until it is decided."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _corpus
from _corpus import AGAIN, HELD_OUT, PUBLISHED, Workload
from _field_work import cpu_s

from resleak.errors import CaptureError
from resleak.experiments.investigate import investigate

#: Those that the rule was not tuned on, or not before they were first judged.
HALVES = (PUBLISHED, HELD_OUT, AGAIN)
_LEAKY = "leaky"


def sides() -> Iterator[tuple[Workload, str]]:
    """Yield workload and variant, in random order, so that any first part is a fair sample."""
    for one in _corpus.workloads():
        if one.half in HALVES:
            yield from ((one, side) for side in sorted(one.scenario.variants))


def key(one: Workload, side: str, package: str) -> str:
    """Return what tells a result from others: the code of the workload and of the package."""
    return f"{one.name} {side} {one.code} {package}"


def judged(one: Workload, side: str) -> dict[str, Any]:
    """Investigate a side with the default options; return verdict, steps and seconds."""
    began, used = time.monotonic(), cpu_s()
    with tempfile.TemporaryDirectory() as out:
        try:
            found = investigate(
                one.file, variants=[side], params=one.params, seed=_corpus.SEEDS[one.half],
                out=Path(out),
            )  # fmt: skip
            gauges = {gauge.gauge: str(gauge.verdict) for gauge in found.variant.gauges}
            told = {"verdict": str(found.verdict), "steps": found.captures[0].manifest.steps}
        except CaptureError as error:
            gauges, told = {}, {"verdict": "error", "why": str(error)[:200]}
    spent = {"seconds": time.monotonic() - began, "cpu_s": cpu_s() - used}
    return {
        **{"side": f"{one.name} {side}", "half": one.half, "leaks": side == _LEAKY, **told},
        **{"open": [name for name, word in gauges.items() if word == "inconclusive"]},
        **{name: round(value, 2) for name, value in spent.items()},
    }
