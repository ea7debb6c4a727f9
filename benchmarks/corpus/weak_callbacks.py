"""Finalizers registered on an object that lives as long as the process."""

import weakref

from _work import pair


class Service:
    """What lives as long as the process."""


service = Service()

scenario = pair(
    lambda _, size: weakref.finalize(service, bytes, size),
    lambda finalizer: finalizer.detach(),
    leaks="blocks",
    natural=350,
    workloads=[{"rate": 350.0}, {"rate": 100.0, "pattern": "17th"}],
)
