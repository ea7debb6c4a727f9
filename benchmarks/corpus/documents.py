"""Documents that are read, changed and written."""

import json

from _work import benign


def step(number, run):
    rows = [{"id": i, "name": f"user {i}", "score": run.rng.random()} for i in range(50)]
    return json.loads(json.dumps({"step": number, "rows": rows}))


scenario = benign(step)
