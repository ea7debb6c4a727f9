"""How numbers are written."""

from __future__ import annotations

import math

import pytest

from resleak import formatting


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "B", "0 B"),
        (1023, "B", "1,023 B"),
        (1024, "B", "1 KiB"),
        (-3 * 1024**2, "B", "−3 MiB"),
        (12.345, "descriptors", "12.3 descriptors"),
        (1.0, "descriptors", "1 descriptor"),
        (1.0, "entries/h", "1 entry/h"),
        (math.nan, "B", "–"),
        (1.0, "caches", "1 cache"),
        (1.0, "watches", "1 watch"),
        (1.0, "status", "1 status"),
        (0.0001, "", "0.0001"),
        (-0.00032567, "", "−0.000326"),
        (1e-9, "", "0"),
        (999.4, "", "999"),
        (999.6, "", "1,000"),
    ],
)
def test_amount(value: float, unit: str, text: str) -> None:
    """Amounts have three significant digits, a real minus sign and binary multiples of bytes."""
    assert formatting.amount(value, unit) == text


def test_rate_and_interval() -> None:
    """Rates say what they are counted by; intervals have both ends, infinite ones too."""
    assert formatting.rate(2048, "B") == "2 KiB/step"
    assert formatting.interval(-1, math.inf) == "[−1, ∞]"
    assert formatting.duration(90) == "1.5 min"
    assert formatting.share(0.1234) == "12.3 %"
    assert formatting.share(5.81e-7) == "< 0.001 %"
    assert formatting.share(0.0) == "0 %"
