"""The last events, in a queue that drops the oldest."""

from collections import deque

from _work import benign

events = deque()


def step(number, run):
    events.append((number, bytes(run.params.body)))
    if len(events) > run.params.size:
        events.popleft()


scenario = benign(
    step,
    size=50,
    body=500,
    workloads=[{"size": 50}, {"size": 150}, {"size": 250, "body": 20_000}],
)
