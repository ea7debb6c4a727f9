"""Model classes are made at run time, and freed by the garbage collector.

Source: pydantic/pydantic#11958
Environment: current
Packages: pydantic
Kind: clean
Truth: TODO
"""

from pydantic import create_model


def step(i):
    return create_model(f"Row{i}", amount=(int, 0))(amount=i).amount
