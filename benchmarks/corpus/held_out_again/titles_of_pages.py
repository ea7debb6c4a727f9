"""The title of each page is kept, a string that knows the whole page."""

from _work import pair
from bs4 import BeautifulSoup


def acquire(step, size):
    page = f"<html><title>{step}</title><body><p>{'x' * size}</p></body></html>"
    return BeautifulSoup(page, "html.parser").title.string


scenario = pair(
    acquire,
    leaks="heap",
    natural=6600,
    workloads=[
        {"rate": 500.0},
        {"rate": 10_000.0, "noise": 20_000},
        {"rate": 30_000.0, "pattern": "stairs"},
    ],
)
