"""Futures of work that is done, kept for a summary that nobody asks for."""

from concurrent.futures import ThreadPoolExecutor

from _work import pair

pool, done = ThreadPoolExecutor(2), []


def acquire(_step, size):
    future = pool.submit(bytes, size)
    future.result()
    done.append(future)
    return future


scenario = pair(
    acquire,
    done.remove,
    leaks="kept",
    natural=1750,
    units=lambda _: {"kept": 1},
    workloads=[{"rate": 1750.0}, {"rate": 2000.0, "pattern": "17th", "beside": 3.0}],
)


@scenario.gauge("futures")
def kept(_world):
    """Futures that are kept."""
    return len(done)
