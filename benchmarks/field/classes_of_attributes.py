"""Classes are decorated in a function: their sources are kept once per name.

Source: python-attrs/attrs#828
Environment: current
Packages: attrs
Kind: clean
Truth: no count grows from step 3,362 to 7,228
"""

import attrs


def credentials():
    @attrs.define
    class Credentials:
        token: str
        user: str

    return Credentials


def step(i):
    return credentials()(token="t", user=f"user {i}").user
