"""What may grow by how much, held against made-up traces: three answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import captures, traces

import resleak
from resleak.analysis import held
from resleak.analysis.verdicts import VariantVerdict
from resleak.errors import BudgetError

GaugeVerdict = Callable[..., VariantVerdict]


@pytest.fixture
def judged(tmp_path: Path) -> GaugeVerdict:
    def judged(curve: traces.Curve, **options: object) -> VariantVerdict:
        trace = traces.trace(curve, gauge="fds", **options)  # type: ignore[arg-type]
        captures.write(tmp_path, captures.scenario(), "leaky", trace)
        return resleak.judge(resleak.load(tmp_path)).variants["leaky"]

    return judged


@pytest.mark.parametrize(
    ("curve", "allowed", "outcome"),
    [
        (traces.flat, 0, "holds"),
        (traces.ramp(1.0), 0, "broken"),
        (traces.plateau(200, 80), 0, "holds"),
        (traces.from_step(280), 0, "inconclusive"),
        (traces.ramp(1.0), 2, "holds"),
        (traces.ramp(1.0, noise=20), 1.0, "inconclusive"),
        (traces.ramp(1.0), 0.5, "broken"),
    ],
)
def test_three_answers(
    judged: GaugeVerdict, curve: traces.Curve, allowed: float, outcome: str
) -> None:
    """A leak above what is allowed is broken, one surely below holds, in between nobody knows."""
    assert held.hold(judged(curve), {"fds": allowed}).outcome == outcome


def test_waiting_for_the_collector_is_not_allowed(judged: GaugeVerdict) -> None:
    """Descriptors that pile up until the garbage collector runs are broken, with their number."""
    found = held.hold(judged(traces.flat, waiting=1.0), {"fds": 0})
    assert found.outcome == "broken"
    assert found.broken[0].endswith("10 descriptors wait for the garbage collector")


def test_without_names_every_gauge_counts(judged: GaugeVerdict) -> None:
    """A mark that names nothing allows nothing; of a gauge that was not read it says so."""
    leaky = judged(traces.ramp(1.0))
    assert held.hold(leaky, {}).outcome == "broken"
    assert held.hold(leaky, {"sockets": 0}).undecided == ("sockets was not read",)


@pytest.mark.parametrize(
    ("gauge", "told", "rate"),
    [("fds", 0, 0), ("heap", "16 B/step", 16), ("heap", "1.5 KiB", 1536), ("fds", "0.5", 0.5),
     ("heap", "2MB/step", 2e6), ("fds", "1 descriptors/step", 1)],
)  # fmt: skip
def test_rates_as_people_write_them(gauge: str, told: str | float, rate: float) -> None:
    """A rate is a number, with the gauge's unit or a multiple of bytes if wanted, per step."""
    assert held.allowed_rate(gauge, told) == rate


@pytest.mark.parametrize(
    ("gauge", "told"), [("fds", "1 KiB"), ("heap", "much"), ("heap", "1.2.3 B"), ("files", 0)]
)
def test_what_is_no_rate_is_refused(gauge: str, told: str | float) -> None:
    """A unit of another gauge, a word, and a gauge that is not there are told in one line."""
    with pytest.raises(BudgetError, match=r"no rate|no gauge"):
        held.allowed_rate(gauge, told)
