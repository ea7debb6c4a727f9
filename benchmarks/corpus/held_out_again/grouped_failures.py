"""Groups of exceptions stored for a report, with all that their frames refer to."""

from _work import pair


def attempt(number, size):
    body = bytes(size // 2 + 2)
    raise ValueError(number, len(body))


def acquire(step, size):
    failures = []
    for number in (step, -step):
        try:
            attempt(number, size)
        except ValueError as error:
            failures.append(error)
    return ExceptionGroup("both attempts failed", failures)


scenario = pair(
    acquire,
    leaks="heap",
    natural=2100,
    workloads=[
        {"rate": 200.0},
        {"rate": 2500.0, "beside": 4.0},
        {"rate": 12_000.0, "pattern": "stairs"},
    ],
)
