"""Messages that wait to be sent again, of which the oldest is given up when there are too many."""

import collections

from _work import benign

waiting = collections.deque()


def step(number, run):
    for _ in range(2):
        waiting.append({"number": number, "body": bytes(run.rng.randrange(run.params.body))})
    if waiting and run.rng.random() < 0.5:
        waiting.popleft()
    while len(waiting) > run.params.most:
        waiting.popleft()


scenario = benign(
    step, most=150, body=2000, workloads=[{}, {"most": 60, "body": 20_000}, {"most": 220}]
)


@scenario.gauge("messages")
def to_send_again(_run):
    """Messages that wait to be sent again."""
    return len(waiting)
