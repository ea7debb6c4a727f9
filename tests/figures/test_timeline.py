"""Figures say what the frames say: their data is compared, not their looks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest
from helpers import traces as made
from hypothesis import given
from hypothesis import strategies as st

from resleak import figures
from resleak.analysis import growth
from resleak.figures import live_svg, plotly_theme, style
from resleak.workload.gauges import Gauge

GAUGES = {"count": made.COUNT, "bytes": made.BYTES}
LAST = made.WARMUP + 240


def traces(**variants: pd.DataFrame) -> pd.DataFrame:
    frame = pd.concat([t.assign(variant=v) for v, t in variants.items()], ignore_index=True)
    return frame.assign(scenario="made/up")


def with_gauge(frame: pd.DataFrame, name: str, value: float) -> pd.DataFrame:
    return frame.assign(**{name: value})


@pytest.fixture
def climbing() -> pd.DataFrame:
    """Return a leaky variant that climbs by 1 a step from 100, and a fixed one at 100."""
    return traces(leaky=made.trace(made.ramp(1.0)), fixed=made.trace(made.flat))


def lines(figure: go.Figure) -> dict[str, go.Scatter]:
    """Return the curves of the first row by variant."""
    return {t.name: t for t in figure.data if t.mode == "lines" and t.line.width and t.yaxis == "y"}


def notes(figure: go.Figure, name: str) -> list[str]:
    return [a.text for a in figure.layout.annotations if a.name == name]


def triangles(figure: go.Figure, variant: str) -> go.Scatter:
    return next(t for t in figure.data if t.name == f"{variant}, collected")


def test_a_curve_is_the_median_and_its_band_the_range():
    """Three runs at 1, 2 and 6 times the step are drawn as twice the step, between 1 and 6."""
    runs = [made.trace(made.ramp(k), runs=1).assign(run=k) for k in (1, 2, 6)]
    figure = figures.timeline(traces(leaky=pd.concat(runs)), GAUGES)
    line = lines(figure)["leaky"]
    low, high = [t for t in figure.data if t.name == "leaky, range"]
    assert np.array_equal(line.x, np.arange(1, LAST + 1))
    assert np.array_equal(line.y, 100 + 2 * np.asarray(line.x))
    assert np.array_equal(low.y, 100 + 1 * np.asarray(line.x))
    assert np.array_equal(high.y, 100 + 6 * np.asarray(line.x))
    assert high.fill == "tonexty"


def test_one_run_has_no_band(climbing):
    """Where the runs agree, or there is one, no band is drawn, and the title tells which."""
    one = climbing[climbing["run"] == 1]
    figure = figures.timeline(one, GAUGES)
    assert not [t for t in figure.data if t.fill]
    assert "one run" in figure.layout.title.subtitle.text


def test_gauges_share_one_axis_of_steps(climbing):
    """Every gauge has a row of its own, and all rows follow the x-axis of the last."""
    both = climbing.assign(bytes=climbing["count"] * 1e6)
    figure = figures.timeline(both, GAUGES)
    axes = list(figure.select_xaxes())
    assert len(axes) == 2
    assert {axis.matches for axis in axes} == {None, "x2"}
    assert axes[-1].title.text == "step"


def test_bytes_are_drawn_in_binary_units(climbing):
    """A gauge of 3 GiB is drawn as 3 on an axis called GiB, in floating point."""
    big = climbing.assign(bytes=np.int64(3 * 2**30) + climbing["step"])
    figure = figures.timeline(big, ["bytes"], growth.judge(big, GAUGES))
    line = lines(figure)["leaky"]
    assert figure.layout.yaxis.title.text == "GiB"
    assert np.asarray(line.y) == pytest.approx(3, abs=1e-4)
    assert np.asarray(line.y).dtype == np.float64


def test_what_does_not_move_is_named_in_the_caption(climbing):
    """A constant gauge is left out, and the caption says so with its value."""
    figure = figures.timeline(with_gauge(climbing, "threads", 7.0))
    (caption,) = notes(figure, "caption")
    assert len(list(figure.select_yaxes())) == 1
    assert "threads at 7" in caption


def test_what_was_asked_for_is_drawn(climbing):
    """Gauges asked for by name are drawn in that order, moved or not."""
    figure = figures.timeline(with_gauge(climbing, "threads", 7.0), ["threads", "count"])
    heads = notes(figure, "head")
    assert [head.split("</b>")[0] for head in heads] == ["<b>threads", "<b>count"]
    assert not notes(figure, "caption")


def test_when_nothing_moves_all_is_drawn_and_said():
    """A null control shows its level gauges instead of an empty page."""
    figure = figures.timeline(traces(control=made.trace(made.flat)), GAUGES)
    assert np.array_equal(np.unique(lines(figure)["control"].y), [100.0])
    assert notes(figure, "caption") == ["No gauge moved enough to call it growth."]


def test_without_readings_the_figure_says_so(climbing):
    """A trace without a single value gives words, not an empty axis."""
    figure = figures.timeline(climbing.assign(count=np.nan))
    assert not figure.data
    assert "No readings" in figure.layout.annotations[0].text


def test_phases_lie_where_the_steps_were(climbing):
    """Warm-up is shaded from 0 to its last step; the cool-down has a slot after the last one."""
    figure = figures.timeline(climbing, GAUGES)
    shaded = {shape.name: (shape.x0, shape.x1) for shape in figure.layout.shapes}
    assert shaded["warm-up"] == (0, made.WARMUP)
    assert shaded["cool-down"][0] == LAST
    assert notes(figure, "phase") == ["<i>warm-up</i>", "<i>steady</i>", "<i>cool-down</i>"]


def test_readings_after_a_collection_are_marked_where_they_fall():
    """What waits for the collector is on the curve; what is left after it are triangles."""
    waiting = made.trace(made.flat, waiting=2.0)
    figure = figures.timeline(traces(leaky=waiting), GAUGES)
    marked = triangles(figure, "leaky")
    assert list(marked.x[:-1]) == list(range(made.BLOCK, LAST + 1, made.BLOCK))
    assert set(marked.y) == {100.0}
    assert max(lines(figure)["leaky"].y) == 100 + 2 * made.BLOCK


def test_what_drained_is_marked_in_the_cool_down():
    """A climb that drains ends, after the last step, where it began."""
    drained = made.trace(made.ramp(1.0), drains=True)
    figure = figures.timeline(traces(leaky=drained), GAUGES)
    marked = triangles(figure, "leaky")
    assert list(marked.y) == [100.0]
    assert marked.x[0] > LAST


def test_verdicts_stand_above_the_rows_worst_first(climbing):
    """The row of a leak comes first, with verdict and rate of every variant."""
    both = climbing.assign(bytes=2e6)[["bytes", *climbing.columns]]
    figure = figures.timeline(both, GAUGES, growth.judge(both, GAUGES), only_moving=False)
    first, second = notes(figure, "head")
    assert first.startswith("<b>count</b>")
    assert "leaky: <b>leak</b> 1 entry/step" in first
    assert "fixed: <b>flat</b>" in first
    assert second.count("<b>flat</b>") == 2


def test_a_variant_looks_the_same_in_every_figure(climbing):
    """Drawn alone, a variant has the colour it has among all that were judged."""
    other = climbing.assign(variant=climbing["variant"].replace("fixed", "other"))
    third = pd.concat([other, other.assign(variant="third")[other["variant"] == "other"]])
    judged = growth.judge(third, GAUGES)
    alone = figures.timeline(third[third["variant"] == "third"], GAUGES, judged)
    colour = lines(alone)["third"].line.color
    assert colour == lines(figures.timeline(third, GAUGES, judged))["third"].line.color
    assert f'color:{colour}">■</span> third' in notes(alone, "head")[0]


def test_time_counts_from_the_start_of_the_load(climbing):
    """Over time, a run that began late starts at 0 as the others do."""
    late = climbing.assign(t_s=climbing["t_s"] + 100 * climbing["run"])
    line = lines(figures.timeline(late, GAUGES, x="t_s"))["leaky"]
    assert line.x[0] == pytest.approx(0)
    assert line.x[-1] == pytest.approx(0.01 * (LAST - 1))


def test_long_runs_stay_small():
    """Of 100 000 steps at most 2 000 points are drawn, the single spike among them."""
    values = np.zeros(100_000)
    values[77_777] = 1000.0
    frame = pd.DataFrame(
        {
            "step": np.arange(1, 100_001),
            "t_s": np.arange(100_000) / 1e3,
            "phase": "steady",
            "moment": "step",
            "count": values,
            "run": 1,
        }
    )
    line = lines(figures.timeline(traces(leaky=frame), GAUGES))["leaky"]
    assert len(line.x) <= 2000
    assert dict(zip(line.x, line.y, strict=True))[77_778] == 1000.0


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=400), st.integers(4, 50))
def test_thinning_keeps_ends_and_extremes(values, most):
    """Thinned points are points of the curve, in order, with its ends and its extremes."""
    y = np.array(values)
    x = np.arange(len(y), dtype=float)
    few_x, few_y = live_svg.thin(x, y, most)
    assert len(few_x) <= most or len(y) <= most
    assert np.all(np.diff(few_x) > 0)
    assert np.array_equal(y[few_x.astype(int)], few_y)
    assert (few_x[0], few_x[-1]) == (0, len(y) - 1)
    assert (few_y.min(), few_y.max()) == (y.min(), y.max())


def test_nothing_needs_a_graphics_card(climbing):
    """No trace is drawn by WebGL, which is slow without a graphics card."""
    assert {trace.type for trace in figures.timeline(climbing).data} == {"scatter"}


def test_names_cannot_be_markup(climbing):
    """A gauge or variant called like a tag is shown, not obeyed."""
    bad = climbing.rename(columns={"count": "<b onclick=x>"}).assign(variant="<i>v</i>")
    figure = figures.timeline(bad, verdicts=growth.judge(bad, {"<b onclick=x>": Gauge("x", "y")}))
    assert notes(figure, "head")[0].startswith("<b>&lt;b onclick=x&gt;</b>")


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours by the Web Content Accessibility Guidelines."""
    bright, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("paper", ["#ffffff", "#111111"])
def test_figures_read_on_light_and_dark_paper(paper):
    """Letters stand out at 4.3 : 1 and curves at 2 : 1, whatever the paper."""
    assert contrast(style.INK, paper) > 4.3
    looks = [*style.VARIANTS.values(), *style.OTHERS]
    assert min(contrast(mark.colour, paper) for mark in looks) > 2


def test_papers_are_clear_and_the_upload_button_is_off():
    """The page's own colour shows through, and nothing offers to send a figure away."""
    figures.quiet()
    assert (
        plotly_theme.template().layout.paper_bgcolor == plotly_theme.template().layout.plot_bgcolor
    )
    assert plotly_theme.template().layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    config = pio.renderers["plotly_mimetype"].config
    assert config["showSendToCloud"] is False
    assert config["displaylogo"] is False


def test_variants_differ_without_colour():
    """No two variants of a figure have the same dash, nor the same colour."""
    looks = style.marks(["leaky", "proposed", "fixed", "one", "two", "three"])
    assert len({mark.dash for mark in looks.values()}) >= 5
    assert len({mark.colour for mark in looks.values()}) == 6
