"""Receivers that are connected to a signal by a strong reference, one for each upload."""

import itertools

from _work import pair
from django.dispatch import Signal

saved, numbers = Signal(), itertools.count()


def acquire(_, size):
    body, uid = bytes(size + 2), f"upload {next(numbers)}"

    def receiver(**_):
        return body

    saved.connect(receiver, weak=False, dispatch_uid=uid)
    return uid


scenario = pair(
    acquire,
    lambda uid: saved.disconnect(dispatch_uid=uid),
    leaks="heap",
    natural=600,
    workloads=[{"rate": 650.0}, {"rate": 3000.0, "pattern": "stairs", "beside": 3.0}],
)
