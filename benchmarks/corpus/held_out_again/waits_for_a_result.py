"""Callbacks that wait for a result which never comes."""

from concurrent.futures import Future

from _work import pair

state = {"future": Future()}


def acquire(_, size):
    body = bytearray(size)
    state["future"].add_done_callback(lambda _: body)


def release(_):
    state["future"] = Future()


scenario = pair(
    acquire,
    release,
    leaks="heap",
    natural=400,
    workloads=[{"rate": 420.0, "noise": 300}, {"rate": 20.0}, {"rate": 100_000.0}],
)
