"""Broken documents are refused; the error is freed by the collector.

Source: ijl/orjson#89
Environment: current
Packages: orjson
Kind: clean
Truth: no count grows from step 6,565 to 12,000
"""

import orjson


def step(i):
    try:
        orjson.loads(f'{{"number": {i}')
    except orjson.JSONDecodeError as error:
        return str(error)
