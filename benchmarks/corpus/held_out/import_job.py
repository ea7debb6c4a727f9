"""A job that reads in everything first and then works it off; after it, nothing is left."""

from _work import benign

records = []


def step(number, run):
    if number < run.params.read:
        for _ in range(5):
            records.append({"id": number, "body": bytes(run.rng.randrange(run.params.largest))})
    del records[: run.params.done]


scenario = benign(
    step,
    read=110,
    done=3,
    largest=600,
    workloads=[{"read": 110}, {"read": 90, "largest": 20_000}],
)
