"""An adapter for a list of a recursive model is built per request (pydantic 2.5).

Source: pydantic/pydantic#8397
Environment: older
Packages: pydantic 2.5.2
Kind: leaky
Rates: malloc 7601.09
Truth: counted from step 5,252 to 9,689; also per step: anonymous 7,602 B
"""

from pydantic import BaseModel, TypeAdapter


class Label(BaseModel):
    pass


class Node(BaseModel):
    children: list["Node"]
    label: Label


def step(i):
    return TypeAdapter(list[Node]).validate_python([{"children": [], "label": Label()}])
