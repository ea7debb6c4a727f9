"""Broken documents are refused; the error is freed by the collector.

Source: ijl/orjson#89
Environment: current
Packages: orjson
Kind: clean
Truth: TODO
"""

import orjson


def step(i):
    try:
        orjson.loads(f'{{"number": {i}')
    except orjson.JSONDecodeError as error:
        return str(error)
