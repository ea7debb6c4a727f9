"""Every scenario whose handles leak names the line that opens them."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import stored
from helpers.follow import followed, lines

from resleak.analysis import handle_origins
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.workload import catalog
from resleak.workload.gauges import BUILTIN
from resleak.workload.scenario import Scenario, Variant

MARK = "# opens"
NAMES = sorted(catalog.paths())


def judged(scenario: Scenario, variant: Variant) -> list[GaugeVerdict]:
    """Return what is declared of the gauges that count handles, as if it had been judged."""
    own = {name: gauge for name, (gauge, _) in scenario.own_gauges.items()}
    return [
        GaugeVerdict(gauge=name, unit=gauge.unit, verdict=word)
        for name, told in variant.expect.items()
        if (gauge := {**BUILTIN, **own}.get(name)) is not None
        and gauge.unit in handle_origins.UNITS
        and (word := told.split(",")[0]) in ("leak", "deferred")
    ]


def leaking(name: str) -> list[tuple[str, list[GaugeVerdict]]]:
    scenario = stored.scenario(name)
    every = [(v.name, judged(scenario, v)) for v in scenario.variants.values()]
    return [(variant, gauges) for variant, gauges in every if gauges]


@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_whose_handles_leak_marks_the_line(name: str) -> None:
    """A file has a marked line if, and only if, it declares that handles leak."""
    assert bool(lines(stored.scenario(name).path, MARK)) == bool(leaking(name))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=stored.marks(name)) for name in NAMES if leaking(name)]
)
def test_the_guilty_line_is_named(name: str, tmp_path: Path) -> None:
    """What its variants accuse together are the marked lines, all of them and no others."""
    for package in stored.scenario(name).requires:
        pytest.importorskip(package)
    accused: set[int] = set()
    for variant, gauges in leaking(name):
        captures = followed(name, tmp_path / variant, variant)
        origins = handle_origins.origins(captures, gauges)
        assert {one.file for one in origins} == {f"resleak/scenarios/{name}.py"}
        counted = {one.gauge for one in gauges} - {"connections"}
        assert counted <= {one.gauge for one in origins}
        accused |= {one.line for one in origins}
    assert accused == lines(stored.scenario(name).path, MARK)
