"""An executor for each request that is not shut down: its thread stays."""

from concurrent.futures import ThreadPoolExecutor

from _work import pair


def acquire(_step, _size):
    executor = ThreadPoolExecutor(1)
    executor.submit(int).result()
    return executor


scenario = pair(
    acquire,
    lambda executor: executor.shutdown(),
    leaks="threads",
    units=lambda _: {"threads": 1},
    workloads=[{}, {"pattern": "100th"}],
)
