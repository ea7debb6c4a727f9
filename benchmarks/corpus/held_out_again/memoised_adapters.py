"""Adapters for the types of fields, made when first asked for, as many as may be remembered."""

import functools
from typing import Annotated

from _work import benign
from pydantic import Field, TypeAdapter


@functools.lru_cache(maxsize=24)
def adapter(length):
    return TypeAdapter(list[Annotated[str, Field(max_length=length)]])


def step(_, run):
    for _ in range(run.params.asked):
        length = 1 + run.rng.randrange(run.params.types)
        adapter(length).validate_python(["x"] * run.rng.randrange(length))


scenario = benign(step, types=20, asked=2, workloads=[{}, {"types": 24, "asked": 1}])
