"""A client per call is neither closed nor kept: it goes with its last reference.

Source: svix/svix-webhooks#2456, encode/httpx#978
Environment: current
Packages: httpx
Kind: clean
Truth: no count grows from step 6,565 to 12,000
"""

import ssl

import httpx

context = ssl.create_default_context()


class Endpoint:
    def __init__(self):
        transport = httpx.MockTransport(lambda request: httpx.Response(200, text="ok"))
        self.client = httpx.Client(transport=transport, verify=context)


def step(i):
    return Endpoint().client.get("https://example.org/messages").text
