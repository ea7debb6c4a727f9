"""Visitors whose session ends once they were idle for so many steps."""

import collections

from _work import benign

sessions = collections.OrderedDict()


def step(number, run):
    for _ in range(run.params.visits):
        visitor = int(run.rng.expovariate(1 / 200))
        pages = sessions.pop(visitor, (0, []))[1]
        sessions[visitor] = number, [*pages, f"page {number}"][-5:]
    while sessions and next(iter(sessions.values()))[0] < number - run.params.idle:
        sessions.popitem(last=False)


scenario = benign(step, visits=3, idle=25, workloads=[{}, {"visits": 12}, {"idle": 50}])


@scenario.gauge("sessions")
def alive(_run):
    """Sessions that have not ended."""
    return len(sessions)
