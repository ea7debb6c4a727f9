"""Results of a function are kept, the last 4,096 of them.

Source: python/cpython#148459, app-sre/qontract-reconcile#2323
Environment: plain
Kind: bounded
Full: 4096
Truth: grows until about step 4,096, and no further until step 12,000
"""

from functools import lru_cache


@lru_cache(maxsize=4_096)
def priced(article):
    return {"article": article, "price": len(article)}


def step(i):
    return priced(f"article {i}")["price"]
