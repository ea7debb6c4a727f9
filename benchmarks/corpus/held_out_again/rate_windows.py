"""A limiter of rates that remembers each client's calls of the last so many steps."""

from _work import benign

calls = {}


def step(number, run):
    for _ in range(run.params.calls):
        client = run.rng.randrange(run.params.clients)
        calls.setdefault(client, []).append((number, f"call of step {number}"))
    for client, window in calls.items():
        calls[client] = [call for call in window if call[0] > number - run.params.window]


scenario = benign(
    step, clients=40, calls=20, window=30, workloads=[{}, {"clients": 400, "window": 60}]
)
