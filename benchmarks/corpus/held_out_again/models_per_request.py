"""Models made for the form of each request and kept by its number."""

import pydantic
from _work import pair

models = {}


def acquire(step, size):
    models[step] = pydantic.create_model("Form", name=(str, "x" * size), age=(int, step))
    return step


scenario = pair(
    acquire,
    models.pop,
    leaks="objects",
    natural=13_500,
    workloads=[{"rate": 2000.0}, {"rate": 15_000.0, "pattern": "17th"}],
)
