"""Batches are validated by one adapter: memory rises and falls, nothing stays.

Source: pydantic/pydantic#12059
Environment: current
Packages: pydantic
Kind: clean
Truth: no count grows from step 6,565 to 12,000
"""

from pydantic import BaseModel, TypeAdapter


class Item(BaseModel):
    number: int
    tags: list[str]


adapter = TypeAdapter(list[Item])


def step(i):
    batch = [{"number": n, "tags": ["new", "cheap"]} for n in range(i % 300)]
    return len(adapter.validate_python(batch))
