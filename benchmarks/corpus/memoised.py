"""A function memoised without a bound, called with arguments that never come again."""

import functools

from _work import pair


@functools.cache
def answer(step, size):
    return bytes(size + 48)  # one of no bytes would be the interpreter's own


scenario = pair(
    answer,
    lambda _: answer.cache_clear(),
    leaks="heap",
    natural=280,
    workloads=[{"rate": 16.0}, {"rate": 1000.0}, {"rate": 300.0, "pattern": "17th"}],
)
