"""Rows of a ledger: a date, two exact sums and a remark, of which none is ever dropped."""

from datetime import datetime, timedelta
from decimal import Decimal

from _work import pair

opened = datetime(2024, 2, 29)


def acquire(step, size):
    net = Decimal(step + 1) / 7
    return opened + timedelta(minutes=step), net, net * Decimal("1.19"), "x" * (size + 2)


scenario = pair(
    acquire,
    leaks="heap",
    natural=430,
    workloads=[
        {"rate": 450.0, "pattern": "late"},
        {"rate": 100.0},
        {"rate": 2500.0, "noise": 30_000, "beside": 5.0},
    ],
)
