"""Each client adds one more handler to the logger that all of them share.

Source: PaddleHQ/paddle-python-sdk#144
Environment: plain
Kind: leaky
Rates: objects 3, blocks 4
Truth: counted from step 6,565 to 12,000; also per step: malloc 20 B, anonymous 369 B
"""

import logging


class Client:
    def __init__(self, key):
        self.key = key
        self.log = logging.getLogger("field.client")
        self.log.addHandler(logging.NullHandler())


def step(i):
    return Client(f"key-{i}").key
