"""An event bus whose handlers come at random, and each of which leaves with some chance."""

from _work import benign

handlers = []


def step(number, run):
    for _ in range(run.rng.randrange(run.params.most + 1)):
        seen = []
        handlers.append(lambda event, seen=seen: seen.append(event))
    for handler in handlers:
        handler(f"event {number}")
    handlers[:] = [one for one in handlers if run.rng.random() > run.params.leaving]


scenario = benign(step, most=4, leaving=0.1, workloads=[{}, {"most": 8, "leaving": 0.25}])


@scenario.gauge("handlers")
def subscribed(_run):
    """Handlers that are subscribed."""
    return len(handlers)
