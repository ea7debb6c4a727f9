"""The clean-up of each request is left to a stack that is closed when the service stops."""

from contextlib import ExitStack

from _work import pair

service = ExitStack()


def acquire(_, size):
    service.callback(len, bytes(size + 2))


scenario = pair(
    acquire,
    lambda _: service.pop_all().close(),
    leaks="heap",
    natural=870,
    workloads=[
        {"rate": 400.0, "pattern": "100th"},
        {"rate": 900.0, "noise": 1000},
        {"rate": 128.0, "beside": 20.0},
    ],
)
