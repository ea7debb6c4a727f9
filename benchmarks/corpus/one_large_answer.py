"""One answer that is far larger than all others: the allocator keeps what it took."""

from _work import benign


def step(number, run):
    body = [bytes(2000) for _ in range(20_000 if number == run.params.at else 20)]
    return len(body)


scenario = benign(step, at=30, workloads=[{"at": 30}, {"at": 200}])
