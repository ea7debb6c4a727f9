"""A counter has the request's identity as a label: one series per request, for ever.

Source: BerriAI/litellm#12159, chrisguidry/docket#164
Environment: current
Packages: prometheus_client
Kind: leaky
Rates: objects 3, blocks 10
Truth: counted from step 6,565 to 12,000; also per step: malloc 104 B, anonymous 767 B
"""

from prometheus_client import CollectorRegistry, Counter

registry = CollectorRegistry()
requests = Counter("requests", "Requests by key.", ["route", "key"], registry=registry)


def step(i):
    requests.labels("/completions", f"user-{i}").inc()
