"""Hosts of addresses are validated and encoded, and the last 512 kept.

Source: aio-libs/yarl#1348, aio-libs/yarl#1190
Environment: current
Packages: yarl
Kind: bounded
Full: 512
Truth: grows until about step 512, and no further until step 12,000
"""

from yarl import URL


def step(i):
    return URL(f"https://shop-{i}.example.org/cart").host
