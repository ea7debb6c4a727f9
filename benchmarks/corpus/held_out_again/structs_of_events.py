"""Messages of a protocol, parsed and kept, whose memory is not Python's."""

from _work import pair
from google.protobuf.struct_pb2 import Struct


def acquire(step, size):
    event = Struct()
    event["user"] = str(step)
    event["body"] = "x" * size
    return Struct.FromString(event.SerializeToString())


scenario = pair(
    acquire,
    leaks="heap",
    natural=1350,
    workloads=[{"rate": 100.0}, {"rate": 3000.0, "pattern": "17th"}, {"rate": 40_000.0}],
)
