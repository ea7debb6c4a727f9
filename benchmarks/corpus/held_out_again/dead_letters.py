"""Messages that fail three times and end in a list that nobody empties."""

from _work import pair

dead, numbers = {}, iter(range(10**9))


def acquire(step, size):
    letter = {"number": next(numbers), "body": bytes(size), "errors": []}
    for attempt in range(3):
        try:
            raise ConnectionError(f"attempt {attempt} of {step}")
        except ConnectionError as error:
            letter["errors"].append(str(error))
    dead[letter["number"]] = letter
    return letter["number"]


scenario = pair(
    acquire,
    dead.pop,
    leaks="heap",
    natural=700,
    units=lambda _: {"letters": 1},
    workloads=[{"rate": 1500.0}, {"rate": 1500.0, "pattern": "17th", "beside": 20.0}],
)


@scenario.gauge("messages")
def letters(_world):
    """Messages that wait to be looked at."""
    return len(dead)
