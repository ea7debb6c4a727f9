"""Digests that are begun and kept."""

import hashlib

from _work import pair

scenario = pair(
    lambda step, _: hashlib.sha256(step.to_bytes(8, "big")),
    leaks="native",
    natural=500,
    workloads=[{"rate": 500.0}, {"rate": 100.0, "noise": 50_000}],
)
