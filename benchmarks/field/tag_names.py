"""The parser's dictionary keeps each name of an element that it has ever read.

Source: truenas/middleware#6897, weblyzard/inscriptis#65
Environment: current
Packages: lxml
Kind: leaky
Rates: malloc 772
Truth: counted from step 6,565 to 12,000; also per step: anonymous 1,169 B
"""

from lxml import etree


def step(i):
    names = [f"measurement-{i}-{number}" for number in range(20)]
    text = "<all>" + "".join(f"<{name}/>" for name in names) + "</all>"
    return len(etree.fromstring(text))
