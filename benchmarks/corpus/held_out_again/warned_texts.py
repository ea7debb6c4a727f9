"""Warnings whose texts name the user, each remembered so as to be shown once."""

import warnings

from _work import pair


class AddressWarning(UserWarning):
    pass


seen = {}
warnings.filterwarnings("default", category=AddressWarning)
warnings.showwarning = lambda *_, **__: None


def acquire(step, size):
    text = f"user {step:08} has no address " + "x" * size
    warnings.warn_explicit(text, AddressWarning, "users.py", 12, registry=seen)


scenario = pair(
    acquire,
    lambda _: seen.clear(),
    leaks="heap",
    natural=215,
    workloads=[{"rate": 300.0}, {"rate": 1500.0, "pattern": "17th"}],
)
