"""A load that swings: as many sessions as the time of the day asks for."""

import math

from _work import benign

sessions = []


def step(number, run):
    wanted = round(200 + 150 * math.sin(2 * math.pi * number / run.params.period))
    while len(sessions) < wanted:
        sessions.append(bytes(400))
    del sessions[wanted:]


scenario = benign(step, period=100, workloads=[{"period": 60}, {"period": 150}, {"period": 400}])


@scenario.gauge("sessions")
def held(_run):
    """Sessions."""
    return len(sessions)
