"""Packets that arrive out of order and wait for those before them."""

import heapq

from _work import benign

in_flight, early, state = [], {}, {"next": 0, "sent": 0}


def step(number, run):
    for _ in range(run.params.packets):
        due = number + run.rng.expovariate(1 / run.params.delay)
        body = bytes(run.rng.randrange(1500))
        heapq.heappush(in_flight, (min(due, number + 30), state["sent"], body))
        state["sent"] += 1
    while in_flight and in_flight[0][0] <= number:
        _, packet, body = heapq.heappop(in_flight)
        early[packet] = body
    while early.pop(state["next"], None) is not None:
        state["next"] += 1


scenario = benign(
    step,
    packets=4,
    delay=3.0,
    workloads=[{}, {"packets": 25, "delay": 1.0}, {"packets": 2, "delay": 10.0}],
)
