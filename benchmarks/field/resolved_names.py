"""Answers of the resolver are kept, 1,000 of them.

Source: blacklanternsecurity/bbot#1004, aio-libs/aiohttp#12106
Environment: current
Packages: dnspython, cachetools
Kind: bounded
Full: 1000
Truth: grows until about step 1,000, and no further until step 12,000
"""

import dns.name
import dns.rdatatype
from cachetools import LRUCache

answers = LRUCache(maxsize=1_000)


def step(i):
    name = dns.name.from_text(f"host{i}.example.org")
    answers[name, dns.rdatatype.A] = [f"192.0.2.{i % 250}"]
