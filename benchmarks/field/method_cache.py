"""An unbounded cache on a method keeps every instance that was ever asked.

Source: Javidjms/influxable#31
Environment: plain
Kind: leaky
Rates: objects 1, blocks 5
Truth: TODO
"""

from functools import cache


class Query:
    def __init__(self, text):
        self.text = text

    @cache
    def answer(self):
        return len(self.text)


def step(i):
    return Query(f"select {i} from measurements").answer()
