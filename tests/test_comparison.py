"""Before against after on made-up captures."""

from __future__ import annotations

from pathlib import Path

import captures
import pandas as pd
import pytest
import traces as made

from resleak import comparison, frames
from resleak.errors import StoreError


def compared(root: Path, before: pd.DataFrame, after: pd.DataFrame) -> pd.Series:
    for side, trace in (("leaky", before), ("fixed", after)):
        captures.write(root, captures.scenario(), side, trace)
    sides = (frames.load(root / "made" / "up" / side) for side in ("leaky", "fixed"))
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
    assert "fixed: below 0.00" in row["sentence"]


def test_half_a_fix_is_not_certified(tmp_path: Path) -> None:
    """A leak at half the rate is lower, and no certificate is given."""
    row = compared(
        tmp_path,
        made.trace(made.ramp(1.0), gauge="fds"),
        made.trace(made.ramp(0.5), gauge="fds"),
    )
    assert row["lower"]
    assert not row["equivalent"]
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
    both = frames.load(tmp_path)
    with pytest.raises(StoreError, match="leaky, fixed"):
        comparison.compare(both, both)
