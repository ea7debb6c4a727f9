"""Causes and their rates: of what is too rare to have one, and of what shares a limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import captures, tables
from helpers import traces as made

from resleak.analysis import verdicts
from resleak.analysis.causes import balance, evidence
from resleak.captures import load

#: Steps after the warm-up at which one more descriptor stays open.
JUMPS = (73, 99, 177, 195, 253, 309, 577)


def test_lines_add_nothing_where_nothing_is_live() -> None:
    """A steady part without a single change has no lines, and is no error."""
    made_up = tables.made_up({"keep": np.arange(5) * 1000.0})
    made_up.tables["live"]["allocator"] = "malloc"
    (amount,) = evidence.allocated([made_up]).values()  # type: ignore[list-item]
    assert (amount.heap, amount.mapped) == (100.0, 0.0)
    made_up.tables["live"] = made_up.tables["live"].iloc[:0]
    assert set(evidence.allocated([made_up]).values()) == {evidence.Memory()}  # type: ignore[list-item]


def test_a_leak_without_a_rate_has_its_cause(tmp_path: Path) -> None:
    """Descriptors that leak seven times in 600 steps are one cause, which explains all of them."""
    trace = made.trace(
        lambda at, _: 100.0 + np.searchsorted(JUMPS, at - made.WARMUP), steps=600, gauge="fds"
    )
    captures.write(tmp_path, captures.scenario(), "leaky", trace)
    variant = verdicts.judge(load.load(tmp_path)).variants["leaky"]
    assert [(one.gauge, one.per_step) for one in variant.gauges if one.is_leak] == [("fds", 0.0)]
    (cause,) = variant.found.causes
    assert [(part.gauge, part.share) for part in cause.gauges] == [("fds", 1.0)]


def test_a_limit_is_reached_by_all_that_leaks(tmp_path: Path) -> None:
    """Threads and processes have one limit; each cause of them says when both have reached it."""
    traces = [
        made.trace(made.ramp(rate), gauge=gauge) for gauge, rate in (("threads", 1), ("zombies", 3))
    ]
    trace = traces[0].assign(zombies=traces[1]["zombies"])
    captures.write(tmp_path, captures.scenario(), "leaky", trace, host={"pid_max": 4000})
    variant = verdicts.judge(load.load(tmp_path)).variants["leaky"]
    limits = {cause.kind: cause.limit and cause.limit.steps for cause in variant.found.causes}
    assert set(limits.values()) == {1000.0}


@pytest.mark.parametrize(
    ("later", "code"), [(100.0, "not_intercepted"), (400.0, "faster")], ids=["steady", "faster"]
)
def test_growth_that_gets_faster_is_no_native_memory(
    tmp_path: Path, later: float, code: str
) -> None:
    """Where memray saw all that grew while it followed, what grows later is not called unseen.

    At a steady rate of which memray saw a tenth, it is.
    """
    early = 10.0 if code == "faster" else 100.0

    def heap(at: np.ndarray, _: np.random.Generator) -> np.ndarray:
        values: np.ndarray = 1e6 + early * at + (later - early) * np.maximum(at - 120, 0)
        return values

    trace = made.trace(heap, gauge="heap", steps=600)
    captures.write(tmp_path, captures.scenario(), "leaky", trace)
    followed = tables.made_up({"keep": np.arange(11) * 100.0})  # 100 steps
    followed.tables["live"]["allocator"] = "malloc"
    stored = [followed, *load.load(tmp_path)]
    pace = evidence.pace(stored, "heap")  # type: ignore[arg-type]
    assert pace == (pytest.approx(early), 100.0)
    seen = evidence.total(evidence.allocated(stored).values())  # type: ignore[arg-type]
    assert seen.heap == pytest.approx(10.0)
    verdict = verdicts.judge(load.load(tmp_path)).variants["leaky"].gauge("heap")
    assert verdict is not None
    told = balance.balanced(verdict, [], [], seen, pace=pace, is_followed=True)
    assert told.code == code
