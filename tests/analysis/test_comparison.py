"""Before against after on made-up captures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from helpers import captures
from helpers import traces as made

from resleak.analysis import comparison
from resleak.captures import load
from resleak.errors import StoreError


def compared(root: Path, before: pd.DataFrame, after: pd.DataFrame) -> pd.Series:
    for side, trace in (("leaky", before), ("fixed", after)):
        captures.write(root, captures.scenario(), side, trace)
    sides = (load.load(root / "made" / "up" / side) for side in ("leaky", "fixed"))
    return comparison.compare(*sides).frame.set_index("gauge").loc["fds"]


def test_fix_is_certified_with_its_margin(tmp_path: Path) -> None:
    """A leak that is gone is certified below a stated rate."""
    row = compared(
        tmp_path,
        made.trace(made.ramp(1.0), gauge="fds", runs=5),
        made.trace(made.flat, gauge="fds", runs=5),
    )
    assert row["lower"]
    assert row["equivalent"]
    assert row["p"] < 0.01
    assert row["certificate"] == "fixed"
    assert "fixed: under 0.0087 descriptors/step with 95% confidence" in row["sentence"]


def test_half_a_fix_is_not_certified(tmp_path: Path) -> None:
    """A leak at half the rate is lower, and no certificate is given."""
    row = compared(
        tmp_path,
        made.trace(made.ramp(1.0), gauge="fds"),
        made.trace(made.ramp(0.5), gauge="fds"),
    )
    assert row["lower"]
    assert not row["equivalent"]
    assert row["certificate"] == "lower"
    assert row["difference"] == pytest.approx(-0.5)


def test_no_change_is_no_change(tmp_path: Path) -> None:
    """Two equal leaks are not told apart."""
    leak = made.trace(made.ramp(1.0), gauge="fds")
    row = compared(tmp_path, leak, leak)
    assert not row["lower"]
    assert row["low"] <= 0 <= row["high"]


def test_two_variants_on_one_side_are_refused(tmp_path: Path) -> None:
    """Each side is one variant; more are an error that names them."""
    for side in ("leaky", "fixed"):
        captures.write(tmp_path, captures.scenario(), side, made.trace(made.flat, gauge="fds"))
    both = load.load(tmp_path)
    with pytest.raises(StoreError, match="leaky, fixed"):
        comparison.compare(both, both)


def test_a_certificate_needs_runs(tmp_path: Path) -> None:
    """One run a side certifies nothing, and the refusal says how many would."""
    row = compared(
        tmp_path,
        made.trace(made.ramp(1.0), gauge="fds", runs=1),
        made.trace(made.flat, gauge="fds", runs=1),
    )
    assert row["certificate"] == "refused"
    assert "3 per side are enough" in row["sentence"]


def test_a_margin_of_ones_own_is_held(tmp_path: Path) -> None:
    """A stated margin takes the place of the gauge's own floor; one for no gauge is refused."""
    for side, curve in (("leaky", made.ramp(1.0)), ("fixed", made.ramp(0.2))):
        captures.write(tmp_path, captures.scenario(), side, made.trace(curve, gauge="fds"))
    sides = [load.load(tmp_path / "made" / "up" / side) for side in ("leaky", "fixed")]
    assert comparison.compare(*sides, {"fds": 0.5}).frame.loc[0, "certificate"] == "fixed"
    assert comparison.compare(*sides, {"fds": 0.1}).frame.loc[0, "certificate"] == "lower"
    with pytest.raises(StoreError, match="no gauge heap"):
        comparison.compare(*sides, {"heap": 4.0})


def test_hosts_of_different_classes_are_refused(tmp_path: Path) -> None:
    """Runs of another kernel, processor, C library or allocator are not compared."""
    for side in ("leaky", "fixed"):
        captures.write(tmp_path, captures.scenario(), side, made.trace(made.flat, gauge="fds"))
    before, after = (load.load(tmp_path / "made" / "up" / side) for side in ("leaky", "fixed"))
    for capture in after:
        capture.manifest = replace(capture.manifest, host={"release": "6.2"})
    comparison.compare(before, after)  # what is not recorded is not held against it
    for capture in before:
        capture.manifest = replace(capture.manifest, host={"release": "6.1"})
    with pytest.raises(StoreError, match=r"\(release: 6\.1 before, 6\.2 after\)"):
        comparison.compare(before, after)
