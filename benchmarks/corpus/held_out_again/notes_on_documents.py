"""Notes by document in a weak dictionary, each of which refers to its document."""

import weakref

from _work import pair

notes = weakref.WeakKeyDictionary()


class Document:
    def __init__(self, size):
        self.text = bytes(size + 2)


def acquire(_, size):
    document = Document(size)
    notes[document] = {"about": document}
    return weakref.ref(document)


scenario = pair(
    acquire,
    lambda document: notes.pop(document()),
    leaks="heap",
    natural=600,
    workloads=[{"rate": 700.0}, {"rate": 80.0}, {"rate": 45_000.0, "pattern": "17th"}],
)
