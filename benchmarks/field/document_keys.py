"""Keys of documents stay in a table of fixed size.

Source: ijl/orjson#4, ijl/orjson#211
Environment: current
Packages: orjson
Kind: bounded
Full: 3000
Truth: grows until about step 3,000, and no further until step 12,000
"""

import orjson


def step(i):
    return orjson.loads("{" + ",".join(f'"user {i} {n}":{n}' for n in range(5)) + "}")
