"""Model classes are made at run time, and freed by the garbage collector.

Source: pydantic/pydantic#11958
Environment: current
Packages: pydantic
Kind: clean
Truth: no count grows from step 4,202 to 7,880
"""

from pydantic import create_model


def step(i):
    return create_model(f"Row{i}", amount=(int, 0))(amount=i).amount
