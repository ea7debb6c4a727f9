"""Sizes of texts are memorised in an ordered dictionary that forgets the oldest of 1,000.

Source: firestar5683/StarPilot#175 (its fix)
Environment: plain
Kind: bounded
Full: 1000
Truth: grows until about step 1,000, and no further until step 12,000
"""

from collections import OrderedDict

sizes = OrderedDict()


def measured(text):
    if text not in sizes:
        sizes[text] = (len(text) * 7, 12)
        if len(sizes) > 1_000:
            sizes.popitem(last=False)
    return sizes[text]


def step(i):
    return measured(f"{i * 0.37:.2f} km/h")
