"""Load as a covariate: what follows the load is no leak, and what leaks per request is found."""

from __future__ import annotations

import numpy as np
import pytest
from under_load import CLEAN, LEAKS, MIB, service, verdict

RISES = ("rises", "rises from nothing", "rises a little")
#: Loads under which growth at an equal or smaller load is seen.
TELLS = ("steady", "falls", "waves", "stops")


@pytest.mark.parametrize("kind", CLEAN)
@pytest.mark.parametrize("load", [*RISES, "bursts", "stops"])
def test_what_follows_the_load_is_no_leak(kind: str, load: str) -> None:
    """A level, a pool or a cache is not called a leak, whatever the load does."""
    assert verdict(*service(kind, load, seed=0, seconds=300)).verdict != "leak"


def test_without_a_counter_a_level_looks_like_a_leak() -> None:
    """The same series without its requests is called a leak: the counter makes the difference."""
    rss, requests = service("level with the load", "rises", seed=0)
    assert verdict(rss).verdict == "leak"
    alone = verdict(rss, requests)
    assert alone.verdict == "inconclusive"
    assert "load" in alone.reason


@pytest.mark.parametrize("load", TELLS)
@pytest.mark.parametrize("kind", ["leak per request", "leak per second"])
def test_a_leak_is_found_whatever_the_load_does(kind: str, load: str) -> None:
    """Growth is a leak where the load does not rise: per request, or per second."""
    assert verdict(*service(kind, load, seed=0)).verdict == "leak"


@pytest.mark.parametrize("kind", LEAKS)
def test_a_rising_load_hides_no_leak(kind: str) -> None:
    """Growth that the load may explain is undecided; that of ten times as much is a leak."""
    rss, requests = service(kind, "rises a little", seed=1)
    assert verdict(rss, requests).verdict in ("leak", "inconclusive")
    assert verdict(rss + 9 * (rss - rss[0]), requests).verdict == "leak"


def test_the_rate_per_request_is_right() -> None:
    """Under a falling load the interval has the true rate per request, and is narrow."""
    requests = np.cumsum(np.linspace(60, 5, 600))
    noise = np.random.default_rng(0).normal(0, 0.1 * MIB, 600)
    found = verdict(50 * MIB + 2000 * requests + noise, requests)
    assert found.verdict == "leak"
    assert found.per_request_low <= 2000 <= found.per_request_high
    assert found.per_request_high - found.per_request_low < 200
    assert "with the requests rather than with time" in found.reason


def test_growth_that_stops_with_the_load_is_no_plateau() -> None:
    """A leak per request rests while nothing is requested."""
    requests = np.cumsum(np.where(np.arange(600) < 300, 20.0, 0.0))
    small = 50 * MIB + 500 * requests + np.random.default_rng(0).normal(0, 0.3 * MIB, 600)
    assert verdict(small).verdict == "plateau"
    assert verdict(small, requests).verdict in ("leak", "inconclusive")


def test_growth_at_rest_follows_time() -> None:
    """A leak by a timer goes on when the requests stop, and the reason says so."""
    requests = np.cumsum(np.where(np.arange(600) < 300, 20.0, 0.0))
    grown = 50 * MIB + 50_000 * np.arange(600) + np.random.default_rng(0).normal(0, 1e5, 600)
    found = verdict(grown, requests)
    assert found.verdict == "leak"
    assert "with time rather than with the requests" in found.reason


@pytest.mark.parametrize("missing", [slice(200, 400), slice(500, 600)])
def test_a_counter_with_gaps_is_not_used(missing: slice) -> None:
    """Where a tenth of the counts is missing, or the last ones, the verdict is that over time."""
    rss, requests = service("level with the load", "rises", seed=0)
    requests[missing] = np.nan
    found, alone = verdict(rss, requests), verdict(rss)
    assert (found.verdict, found.per_step) == (alone.verdict, alone.per_step)
    assert np.isnan(found.per_request)


def test_a_service_that_starts_has_answered_nothing() -> None:
    """Counts that are missing at the beginning only are counts of none."""
    rss, requests = service("leak per request", "steady", seed=0)
    requests[:100] = np.nan
    assert not np.isnan(verdict(rss, requests).per_request)


@pytest.mark.parametrize("load", ["steady", "waves", "rises a little"])
def test_the_detection_limit_is_true_under_load(load: str) -> None:
    """A leak of the printed limit, planted into the series, is found."""
    rss, requests = service("constant", load, seed=3)
    limit = verdict(rss, requests).detection_limit
    assert verdict(rss + limit * np.arange(len(rss)), requests).verdict == "leak"
