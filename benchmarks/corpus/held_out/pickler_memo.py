"""One pickler for all messages: it remembers every object that it has written."""

import io
import pickle

from _work import pair

stream = io.BytesIO()
pickler = pickle.Pickler(stream)


def acquire(step, size):
    pickler.dump((step, "x" * (size + 10)))
    stream.seek(0)
    stream.truncate()


scenario = pair(
    acquire,
    lambda _: pickler.clear_memo(),
    leaks="heap",
    natural=230,
    workloads=[{"rate": 1200.0, "pattern": "17th"}, {"rate": 9000.0, "noise": 60_000}],
)
