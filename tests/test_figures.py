"""Figures and tables say what the frames say: their data is compared, not their looks."""

from __future__ import annotations

from collections.abc import Mapping

import captures
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest
import traces as made
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from resleak import budgets, claims, figures, frames, growth
from resleak.comparison import Comparison
from resleak.declare import Gauge, Limit, Sweep
from resleak.figures import _curves, _style

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
    assert notes(figure, "caption") == ["No gauge moved enough to call it a climb."]


def test_without_readings_the_figure_says_so(climbing):
    """A trace without a single value gives words, not an empty axis."""
    figure = figures.timeline(climbing.assign(count=np.nan))
    assert not figure.data
    assert "No readings" in figure.layout.annotations[0].text


def test_phases_lie_where_the_steps_were(climbing):
    """Warm-up is shaded from 0 to its last step; what settled has a slot after the last one."""
    figure = figures.timeline(climbing, GAUGES)
    shaded = {shape.name: (shape.x0, shape.x1) for shape in figure.layout.shapes}
    assert shaded["warm-up"] == (0, made.WARMUP)
    assert shaded["settled"][0] == LAST
    assert notes(figure, "phase") == ["<i>warm-up</i>", "<i>steady</i>", "<i>settled</i>"]


def test_readings_after_a_collection_are_marked_where_they_fall():
    """What waits for the collector is on the curve; what is left after it are triangles."""
    waiting = made.trace(made.flat, waiting=2.0)
    figure = figures.timeline(traces(leaky=waiting), GAUGES)
    marked = triangles(figure, "leaky")
    assert list(marked.x[:-1]) == list(range(made.BLOCK, LAST + 1, made.BLOCK))
    assert set(marked.y) == {100.0}
    assert max(lines(figure)["leaky"].y) == 100 + 2 * made.BLOCK


def test_what_drained_is_marked_in_the_settled_slot():
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
    assert "leaky: <b>leak</b> 1 entries/step" in first
    assert "fixed: <b>level</b>" in first
    assert second.count("<b>level</b>") == 2


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
    few_x, few_y = _curves.thin(x, y, most)
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
    assert contrast(_style.INK, paper) > 4.3
    looks = [*_style.VARIANTS.values(), *_style.OTHERS]
    assert min(contrast(mark.colour, paper) for mark in looks) > 2


def test_papers_are_clear_and_the_upload_button_is_off():
    """The page's own colour shows through, and nothing offers to send a figure away."""
    assert _style.template().layout.paper_bgcolor == _style.template().layout.plot_bgcolor
    assert _style.template().layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    config = pio.renderers["plotly_mimetype"].config
    assert config["showSendToCloud"] is False
    assert config["displaylogo"] is False


def test_variants_differ_without_colour():
    """No two variants of a figure have the same dash, nor the same colour."""
    looks = _style.marks(["leaky", "proposed", "fixed", "one", "two", "three"])
    assert len({mark.dash for mark in looks.values()}) >= 5
    assert len({mark.colour for mark in looks.values()}) == 6


# Tables


def growth_rows(**changes: object) -> Mapping[str, object]:
    row = {
        "variant": "leaky",
        "gauge": "fds",
        "verdict": "leak",
        "per_step": 1.0,
        "low": 0.9,
        "high": 1.1,
        "unit": "descriptors",
        "smallest_detectable": 0.02,
        "peak": 308.0,
        "at_end": 300.0,
        "reason": "climbs",
    }
    return {**row, **changes}


def cells(table: figures.Table) -> list[list[str]]:
    """Return the visible text of every body row."""
    rows = BeautifulSoup(table._repr_html_(), "html.parser").select("tbody tr")
    return [[cell.get_text(" ", strip=True) for cell in row("td")] for row in rows]


def test_the_verdict_table_has_every_number():
    """A row tells verdict, rate, interval, smallest detectable, peak and end, with their units."""
    table = figures.verdict_table(pd.DataFrame([growth_rows()]))
    assert cells(table) == [
        ["fds descriptors", "■ leaky", "leak", "1", "[0.9, 1.1]", "0.02", "308", "300"]
    ]
    in_bytes = growth_rows(gauge="heap", unit="B", per_step=2048.0, low=1024.0, high=3072.0)
    row = cells(figures.verdict_table(pd.DataFrame([in_bytes])))[0]
    assert row[3:5] == ["2 KiB", "[1 KiB, 3 KiB]"]


def test_an_inconclusive_verdict_says_what_would_decide():
    """The reason stands beneath the word where the run could not decide."""
    rows = [growth_rows(verdict="inconclusive", reason="about 900 more steps would decide")]
    assert cells(figures.verdict_table(pd.DataFrame(rows)))[0][2] == (
        "inconclusive about 900 more steps would decide"
    )


def test_clean_gauges_are_folded_but_there():
    """Gauges clean in every variant are folded below the others, with all their numbers."""
    rows = [
        growth_rows(gauge="threads", unit="threads", verdict="level"),
        growth_rows(gauge="threads", unit="threads", verdict="bounded", variant="fixed"),
        growth_rows(verdict="level", variant="fixed"),
        growth_rows(),
    ]
    table = figures.verdict_table(pd.DataFrame(rows))
    page = BeautifulSoup(table._repr_html_(), "html.parser")
    assert page.details.summary.get_text() == "level or bounded in every variant: threads"
    assert len(page.details.select("tbody tr")) == 2
    assert [row[0] for row in cells(table)][0::2] == ["fds descriptors", "threads"]
    assert [row[-7] for row in cells(table)] == ["■ leaky", "■ fixed", "■ leaky", "■ fixed"]


def test_a_clean_table_is_open():
    """If everything is clean there is nothing to fold it under: it is shown."""
    table = figures.verdict_table(pd.DataFrame([growth_rows(verdict="level")]))
    assert BeautifulSoup(table._repr_html_(), "html.parser").details.has_attr("open")


def test_tables_escape_and_bring_no_style_sheet():
    """Names shown in a table are text, and all its style is inline."""
    bad = "<script>alert(1)</script>"
    rows = pd.DataFrame([growth_rows(variant=bad, gauge=bad, unit=bad, verdict="leak", reason=bad)])
    sites = pd.DataFrame([{"function": bad, "file": bad, "line": 1, "bytes_per_step": 1.0}])
    tables = [figures.verdict_table(rows), figures.sites_table(sites.assign(share=1.0))]
    for table in tables:
        page = BeautifulSoup(table._repr_html_(), "html.parser")
        assert bad in page.get_text()
        assert not page.find_all(["script", "style", "link", "svg"])


def test_a_table_prints_as_text():
    """In a terminal the same verdicts are readable."""
    printed = repr(figures.verdict_table(pd.DataFrame([growth_rows()])))
    assert "leaky" in printed
    assert "leak" in printed


def sites(*bytes_per_step: float) -> pd.DataFrame:
    total = sum(value for value in bytes_per_step if value > 0)
    rows = [
        {
            "function": f"f{n}",
            "file": "<stdlib>/json/decoder.py",
            "line": n,
            "bytes_per_step": value,
            "share": max(value, 0) / total,
        }
        for n, value in enumerate(bytes_per_step)
    ]
    return pd.DataFrame(rows)


def test_sites_have_bars_as_wide_as_their_share():
    """Three quarters of the growth is a bar over three quarters of the cell."""
    page = BeautifulSoup(figures.sites_table(sites(300, 100))._repr_html_(), "html.parser")
    widths = [row("td")[-1]["style"].split("transparent ")[1] for row in page.select("tbody tr")]
    assert [width.split("%")[0] for width in widths] == ["75.0", "25.0"]
    assert page.select("code")[1].get_text() == "<stdlib>/json/decoder.py:0"


def test_sites_beyond_the_top_are_summed():
    """What is not shown is counted, and what shrank is no site."""
    table = figures.sites_table(sites(300, 100, 60, 40, -50), top=2)
    assert len(cells(table)) == 2
    assert "2 more sites add up to 100 B per step" in table._repr_html_()
    assert "No allocation site grew" in figures.sites_table(sites(300, -1).tail(1))._repr_html_()
    assert "no memory profile" in figures.sites_table(pd.DataFrame())._repr_html_()


def comparison(**changes: object) -> Comparison:
    row = {
        "gauge": "fds",
        "unit": "descriptors",
        "before": 1.0,
        "after": 0.0,
        "difference": -1.0,
        "low": -1.1,
        "high": -0.9,
        "margin": 0.02,
        "lower": True,
        "equivalent": True,
        "verdict_before": "leak",
        "verdict_after": "level",
    }
    return Comparison("leaky", "fixed", pd.DataFrame([{**row, **changes}]))


def test_the_difference_shows_both_rates_and_the_certificate():
    """Before, after and the difference with its interval, and what that certifies."""
    assert cells(figures.difference(comparison())) == [
        [
            "fds descriptors",
            "1 leak",
            "0 level",
            "−1 [−1.1, −0.9]",
            "after: within ±0.02 descriptors/step, 95 % sure",
        ]
    ]


def test_not_significant_is_not_fixed():
    """Lower but not surely small, and not lower, are told apart from fixed."""
    lower = cells(figures.difference(comparison(equivalent=False)))[0][-1]
    neither = cells(figures.difference(comparison(equivalent=False, lower=False)))[0][-1]
    assert lower.startswith("lower, but not shown to be below 0.02")
    assert neither == "no lower rate shown"


def judged(folder, **options) -> claims.Judgement:
    """Judge a made-up scenario whose leaky variant climbs by one descriptor a step."""
    scenario = captures.scenario(**options)
    for variant, curve in (("leaky", made.ramp(1.0)), ("fixed", made.flat)):
        captures.write(folder, scenario, variant, made.trace(curve, gauge="fds", variant=variant))
    return claims.judge(frames.load(folder))


def test_the_outcome_shows_declared_beside_measured(tmp_path):
    """Claim, fix and variants each have a row, and what differs from its file is marked."""
    judgement = judged(
        tmp_path,
        claim="it leaks",
        symptoms={"fds": "leak"},
        outcome="not reproduced",
        fix="holds",
        seed="000#1",
    )
    rows = cells(figures.outcome_table(judgement))
    assert rows[0] == ["claim 000#1: it leaks", "not reproduced", "reproduced", "differs"]
    assert rows[1][1:] == ["holds", "holds", "as declared"]
    assert rows[2] == ["■ leaky", "clean", "fds leak", "differs"]
    assert rows[3] == ["■ fixed", "clean", "clean", "as declared"]


def test_limits_are_shown_by_variant(tmp_path):
    """Each variant has its worst reading beside the limit, and whether that held."""
    judgement = judged(tmp_path, limits=[Limit("fds", at_most=150, source="the seed's budget")])
    rows = cells(figures.limits_table(judgement))
    assert rows[0] == ["■ leaky", "fds ≤ 150 always", "broken", "400", "the seed's budget"]
    assert rows[1][2:4] == ["holds", "100"]
    assert "no limit" in figures.limits_table(judged(tmp_path / "none"))._repr_html_()


def with_lags(folder, **options):
    """Write two variants whose steps lag by 0.3 s and by 0.01 s, and load them."""
    scenario = captures.scenario(
        limits=[
            Limit("lag_s", at_most=0.1, quantile=0.5, source="the seed"),
            Limit("exit_s", at_most=2),
        ],
        **options,
    )
    for variant, lag in (("leaky", 0.3), ("fixed", 0.01)):
        trace = made.trace(lambda at, rng, lag=lag: lag * rng.uniform(0.9, 1.1, len(at)))
        captures.write(folder, scenario, variant, trace.rename(columns={"count": "lag_s"}))
    return frames.load(folder)


def test_limits_are_drawn_with_their_readings(tmp_path):
    """Each limit has its line, and each variant its readings, on the side where they lie."""
    figure = figures.limits_chart(with_lags(tmp_path))
    assert [shape.x0 for shape in figure.layout.shapes] == [0.1, 2]
    lags = [one for one in figure.data if one.mode == "markers"][:2]
    assert [set(one.y) for one in lags] == [{"leaky"}, {"fixed"}]
    assert min(lags[0].x) > 0.1 > max(lags[1].x)
    assert figure.layout.annotations[0].text.startswith("<b>lag_s ≤ 0.1 in 50% of steps</b>")


def test_a_sweep_is_drawn_with_its_exponent(tmp_path):
    """A cost is drawn over its size on logarithmic axes, its exponent in the legend."""
    scenario = captures.scenario(sweeps=[Sweep("lag_s", "rows")])
    for variant, power in (("leaky", 1.0), ("fixed", 0.0)):
        trace = made.trace(lambda at, _, power=power: 2.0 ** ((at % 5) * power), gauge="lag_s")
        rows = 2.0 ** (trace["step"] % 5)
        captures.write(tmp_path, scenario, variant, trace.assign(rows=rows))
    figure = figures.scaling(frames.load(tmp_path))
    lines = [one for one in figure.data if one.mode == "lines"]
    assert [one.name for one in lines] == [
        "leaky: exponent 1 [1, 1]",
        "fixed: exponent 0 [0, 0]",
    ]
    assert list(lines[0].y) == list(lines[0].x) == [1, 2, 4, 8, 16]
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"


def test_nothing_to_hold_is_said(tmp_path):
    """Without limits and without sweeps the figures say so."""
    captures.write(tmp_path, captures.scenario(), "leaky", made.trace(made.flat, gauge="fds"))
    bare = frames.load(tmp_path)
    assert "No limit" in figures.limits_chart(bare).layout.annotations[0].text
    assert "no sweep" in figures.scaling(bare).layout.annotations[0].text


def test_budgets_that_hold_are_folded_away(tmp_path):
    """What is over its budget stands out, with what it is allowed; the rest is one line."""
    found = with_lags(tmp_path)
    rows = budgets.check(claims.judge(found), found, budgets.read())
    over = rows.assign(holds=rows["budget"] != "exit")
    html = figures.budget_table(over).html
    assert html.index("<b>over</b>") < html.index("<details>") < html.index(">holds")
    assert "2 variants, 2 readings within budget" in html
    assert "No budget" in figures.budget_table(rows.iloc[:0]).html
