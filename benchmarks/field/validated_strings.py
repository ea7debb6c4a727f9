"""Short strings of documents stay in a table of 16,384 entries.

Source: pydantic/pydantic#12059 (the cache of strings of its core)
Environment: current
Packages: pydantic
Kind: bounded
Full: 3000
Truth: grows until about step 3,000, and no further until step 12,000
"""

from pydantic import BaseModel


class Event(BaseModel):
    names: list[str]


def step(i):
    names = ",".join(f'"sensor {i} {number}"' for number in range(10))
    return len(Event.model_validate_json(f'{{"names": [{names}]}}').names)
