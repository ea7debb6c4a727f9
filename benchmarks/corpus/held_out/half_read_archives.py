"""Archives of which only the beginning was read: what unpacks them stays, and it is large."""

import bz2

from _work import pair

beginning = bz2.compress(b"a line of text\n" * 400, 1)[:40]


def acquire(_step, size):
    reader = bz2.BZ2Decompressor()
    reader.decompress(beginning)
    return reader, bytes(size)


scenario = pair(
    acquire,
    leaks="native",
    natural=465_000,
    workloads=[{"rate": 20_000.0}, {"rate": 9000.0, "noise": 50_000}],
)
