"""Each peer gets an unpacker, which is fed and kept when the peer is gone."""

import msgpack
from _work import pair


def acquire(step, size):
    unpacker = msgpack.Unpacker(read_size=size + 256, max_buffer_size=size + 256)
    unpacker.feed(msgpack.packb([step, "waits"]))
    return next(unpacker) and unpacker


scenario = pair(
    acquire,
    leaks="heap",
    natural=42_000,
    workloads=[{"rate": 4000.0}, {"rate": 60_000.0, "pattern": "17th"}],
)
