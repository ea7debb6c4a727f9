"""Records that are collected and written out together."""

from _work import benign

batch = []


def step(number, run):
    batch.extend(bytes(run.params.body) for _ in range(5))
    if len(batch) >= 5 * run.params.size:
        batch.clear()


scenario = benign(
    step,
    size=40,
    body=300,
    workloads=[{"size": 40}, {"size": 7}, {"size": 97}, {"size": 40, "body": 20_000}],
)
