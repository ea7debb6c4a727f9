"""An unbounded cache on a method keeps every instance that was ever asked.

Source: Javidjms/influxable#31
Environment: plain
Kind: leaky
Rates: objects 2, blocks 4
Truth: counted from step 6,565 to 12,000; also per step: malloc 55 B, anonymous 302 B
"""

from functools import cache


class Query:
    def __init__(self, text):
        self.text = text

    @cache  # noqa: B019 - this is the leak
    def answer(self):
        return len(self.text)


def step(i):
    return Query(f"select {i} from measurements").answer()
