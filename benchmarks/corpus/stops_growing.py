"""A table that is filled once, in a straight line, and then used."""

from _work import benign

table = []


def step(number, run):
    if number < run.params.until:
        table.append({"id": number, "body": bytes(800)})


scenario = benign(step, until=40, workloads=[{"until": 40}, {"until": 100}, {"until": 200}])
