"""A fair sample of all requests seen so far, of a fixed number of them."""

from _work import benign

sample, seen = [], [0]


def step(_, run):
    for _ in range(run.params.requests):
        seen[0] += 1
        request = {"number": seen[0] + 1000, "body": bytes(run.params.mean)}
        place = run.rng.randrange(seen[0])
        if len(sample) < run.params.size:
            sample.append(request)
        elif place < run.params.size:
            sample[place] = request


scenario = benign(
    step,
    size=100,
    requests=4,
    mean=300,
    workloads=[{}, {"size": 500, "requests": 6}, {"size": 40, "mean": 20_000}],
)
