"""A table of weak references, cleared as what they name goes."""

import weakref

from _work import benign


class Row:
    """A row."""


rows, held = weakref.WeakValueDictionary(), []


def step(number, _run):
    held.append(Row())
    rows[number] = held[-1]
    del held[:-20]


scenario = benign(step)
