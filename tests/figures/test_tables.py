"""Tables and charts of what was judged say what the frames say."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from bs4 import BeautifulSoup
from helpers import captures
from helpers import traces as made

from resleak import figures
from resleak.analysis import budgets, verdicts
from resleak.analysis.comparison import Comparison, GaugeComparison
from resleak.analysis.rows import Rows
from resleak.captures import load
from resleak.figures import style
from resleak.figures.html_table import unbroken
from resleak.workload.scenario import Limit, Sweep


def growth_rows(**changes: object) -> Mapping[str, object]:
    row = {
        "variant": "leaky",
        "gauge": "fds",
        "verdict": "leak",
        "per_step": 1.0,
        "low": 0.9,
        "high": 1.1,
        "unit": "descriptors",
        "detection_limit": 0.02,
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
    """A row tells verdict, rate, interval, detection limit, peak and end, with their units."""
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


def test_a_clean_gauge_above_its_detection_limit_says_why():
    """A plateau whose rate is above the detection limit has its reason beneath the word."""
    row = growth_rows(verdict="plateau", per_step=50.4, detection_limit=18.8, reason="rounding")
    assert cells(figures.verdict_table(pd.DataFrame([row])))[0][2] == "plateau rounding"


def test_a_line_number_stays_beside_its_file():
    """A narrow cell breaks before the name of a file, not within a line number."""
    html = unbroken("opened at src/app/sqlite_connections.py:105 in <b>")
    assert '<span style="white-space:nowrap">sqlite_connections.py:105</span>' in html
    assert "&lt;b&gt;" in html


def test_clean_gauges_are_folded_but_there():
    """Gauges clean in every variant are folded below the others, with all their numbers."""
    rows = [
        growth_rows(gauge="threads", unit="threads", verdict="flat"),
        growth_rows(gauge="threads", unit="threads", verdict="plateau", variant="fixed"),
        growth_rows(verdict="flat", variant="fixed"),
        growth_rows(),
    ]
    table = figures.verdict_table(pd.DataFrame(rows))
    page = BeautifulSoup(table._repr_html_(), "html.parser")
    assert page.details.summary.get_text() == "flat or plateau in every variant: threads"
    assert len(page.details.select("tbody tr")) == 2
    assert [row[0] for row in cells(table)][0::2] == ["fds descriptors", "threads"]
    assert [row[-7] for row in cells(table)] == ["■ leaky", "■ fixed", "■ leaky", "■ fixed"]


def test_a_clean_table_is_open():
    """If everything is clean there is nothing to fold it under: it is shown."""
    table = figures.verdict_table(pd.DataFrame([growth_rows(verdict="flat")]))
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
    row: dict[str, object] = {
        "gauge": "fds",
        "unit": "descriptors",
        "before": 1.0,
        "after": 0.0,
        "difference": -1.0,
        "low": -1.1,
        "high": -0.9,
        "margin": 0.02,
        "p": 0.001,
        "lower": True,
        "equivalent": True,
        "certificate": "fixed",
        "verdict_before": "leak",
        "verdict_after": "flat",
    }
    return Comparison(
        "leaky", "fixed", Rows(GaugeComparison, [GaugeComparison(**{**row, **changes})])
    )


def test_the_difference_shows_both_rates_and_the_certificate():
    """Before, after and the difference with its interval, and what that certifies."""
    assert cells(figures.difference(comparison())) == [
        [
            "fds descriptors",
            "after: within ±0.02 descriptors/step, 95 % confidence",
            "1 leak",
            "0 flat",
            "−1 [−1.1, −0.9]",
        ]
    ]


def test_the_difference_of_a_service_is_per_hour():
    """Where steps are seconds, all rates of the table are per hour."""
    table = figures.difference(comparison(per="s", margin=0.01, before=0.1, low=-0.2))
    assert "difference per hour" in table.html
    assert cells(table)[0][1:3] == ["after: within ±36 descriptors/h, 95 % confidence", "360 leak"]


def test_what_is_flat_on_both_sides_is_folded_away():
    """A gauge that leaks before, or after, is shown; one that is flat is behind a line."""
    both = [row for one in ("leak", "flat") for row in comparison(verdict_before=one).rows]
    html = figures.difference(Comparison("a", "b", Rows(GaugeComparison, both))).html
    shown, folded = html.split("<details>")
    assert shown.count("<tr") == folded.count("<tr") == 2
    assert "flat before and after: fds" in folded


def test_not_significant_is_not_fixed():
    """Lower but not surely small, and not lower, are told apart from fixed."""
    lower = cells(figures.difference(comparison(equivalent=False)))[0][1]
    neither = cells(figures.difference(comparison(equivalent=False, lower=False)))[0][1]
    assert lower.startswith("lower, but not shown to be below 0.02")
    assert neither == "no reduction shown"
    untested = cells(figures.difference(comparison(p=math.nan, certificate="", lower=False)))[0][1]
    assert untested.startswith("refused: too few runs")


def judged(folder, **options) -> verdicts.ScenarioVerdict:
    """Judge a made-up scenario whose leaky variant climbs by one descriptor a step."""
    scenario = captures.scenario(**options)
    for variant, curve in (("leaky", made.ramp(1.0)), ("fixed", made.flat)):
        captures.write(folder, scenario, variant, made.trace(curve, gauge="fds", variant=variant))
    return verdicts.judge(load.load(folder))


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
    assert "No limit is declared" in figures.limits_table(judged(tmp_path / "none"))._repr_html_()


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
    return load.load(folder)


def test_numbers_in_bars_have_contrast():
    """The letters on each colour of an outcome have a contrast of at least 4.5 to 1."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for look in style.WORDS.values():
        if look.colour.startswith("#"):
            pair = (luminance(look.colour), luminance(style.letters_on(look.colour)))
            assert (max(pair) + 0.05) / (min(pair) + 0.05) >= 4.5


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
    figure = figures.scaling(load.load(tmp_path))
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
    bare = load.load(tmp_path)
    assert "No limit" in figures.limits_chart(bare).layout.annotations[0].text
    assert "no sweep" in figures.scaling(bare).layout.annotations[0].text


def test_budgets_that_hold_are_folded_away(tmp_path):
    """What is over its budget stands out, with what it is allowed; the rest is one line."""
    found = with_lags(tmp_path, system="embedder")
    rows = budgets.check(verdicts.judge(found), found, budgets.read())
    over = rows.frame.assign(holds=rows.frame["budget"] != "exit")
    html = figures.budget_table(over).html
    assert html.index("<b>over</b>") < html.index("<details") < html.index(">holds")
    assert "2 variants, 2 readings within budget" in html
    assert "No budget" in figures.budget_table([]).html
