"""Sessions that are made at each login and stay when nobody logs out."""

from _work import pair

sessions, numbers = {}, iter(range(10**9))


def acquire(step, size):
    number = f"session-{next(numbers)}"
    sessions[number] = {"user": f"user {step}", "roles": ["reader"], "basket": bytes(size)}
    return number


scenario = pair(
    acquire,
    sessions.pop,
    leaks="logged_in",
    natural=500,
    units=lambda _: {"logged_in": 1},
    workloads=[
        {"rate": 500.0},
        {"rate": 5000.0, "pattern": "late", "noise": 50_000},
        {"rate": 50.0},
    ],
)


@scenario.gauge("sessions")
def logged_in(_world):
    """Sessions that are open."""
    return len(sessions)
