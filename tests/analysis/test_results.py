"""What a cell ends with shows itself: as a table, as text, and never as somebody's markup."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers import captures as made
from helpers import traces as curves

from resleak.analysis import stacks
from resleak.analysis.comparison import compare
from resleak.analysis.verdicts import judge
from resleak.captures import frames, load
from resleak.workload import catalog

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> frames.Captures:
    """Return captures of a leak and its cure, by someone who means harm."""
    root = tmp_path_factory.mktemp("stored")
    scenario = made.scenario(gauges=("fds",), claim=EVIL, outcome="reproduced", fix="holds")
    scenario.title = scenario.seed = EVIL
    scenario.symptoms = {"fds": "leak"}
    for variant, rate in (("leaky", 1.0), ("fixed", 0.0)):
        trace = curves.trace(curves.ramp(rate)).rename(columns={"count": "fds"})
        made.write(root, scenario, variant, trace, status=EVIL if variant == "fixed" else "exited")
    return load.load(root)


@pytest.fixture(scope="module")
def everything(stored) -> dict[str, object]:
    judged = judge(stored)
    sides = [stored.select(variant=name) for name in ("leaky", "fixed")]
    scenario = made.scenario(params={EVIL: EVIL}, claim=EVIL, outcome="partly")
    scenario.title = EVIL
    return {
        "scenario": scenario,
        "capture": stored.select(variant="fixed")[0],
        "captures": stored,
        "judgement": judged,
        "variant": replace(judged.variants["leaky"], name=EVIL),
        "comparison": replace(compare(*sides), before=EVIL),
    }


KINDS = ("scenario", "capture", "captures", "judgement", "variant", "comparison")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_becomes_markup(everything, kind):
    """A title, name, status or parameter that is markup is shown as text."""
    html = everything[kind]._repr_html_()  # type: ignore[attr-defined]
    assert "<img" not in html
    assert "&lt;img" in html
    assert html.count("<table") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_is_for_reading(everything, kind):
    """As text, each object is a few lines: no address, no name of a class, no data frame."""
    told = repr(everything[kind])
    assert 1 < len(told.splitlines()) < 30
    assert " at 0x" not in told
    assert "DataFrame" not in told


def test_the_numbers_stand_in_the_text(everything):
    """Rates and verdicts, runs and outcomes are there without asking further."""
    assert "leaky: leak (fds leak 1 descriptor/step" in repr(everything["judgement"])
    assert "Claim: reproduced. Its fix, fixed: holds." in repr(everything["judgement"])
    assert "1 descriptor/step → 0 descriptors/step" in repr(everything["comparison"])
    assert "made/up   leaky    3" in repr(everything["captures"])


def test_a_scenario_tells_what_it_claims():
    """A scenario shows claim, variants with what is expected, control, limits and parameters."""
    told = repr(catalog.load(catalog.locate("arc/auth_cache")))
    for part in ("cache grows indefinitely (reproduced)", "entries leak", "fds stays flat", "300"):
        assert part in told


def test_a_profile_tells_what_grew(project):
    """A profile shows its growth and windows; one of nothing says that nothing is known."""
    captures = load.load(project / "data" / "captures" / "arc" / "auth_cache")
    told = repr(stacks.profile(captures.select(variant="leaky", instrument="memray")))
    assert "KiB/step" in told
    assert "from step 60 to 300" in told
    assert "not known" in repr(stacks.profile([]))
