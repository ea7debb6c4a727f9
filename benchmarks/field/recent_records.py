"""The last 5,000 records of queries are kept for the debugging page.

Source: pallets-eco/flask-sqlalchemy#181 (its request)
Environment: plain
Kind: bounded
Full: 5000
Truth: grows until about step 5,000, and no further until step 12,000
"""

from collections import deque

records = deque(maxlen=5_000)


def step(i):
    records.append({"statement": f"select {i}", "seconds": i * 1e-6})
