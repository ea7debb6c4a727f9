"""Accounts that are found to belong together; all is built anew every so many steps."""

from _work import benign

parents, notes = {}, []


def root(account):
    while parents.setdefault(account, account) != account:
        account = parents[account]
    return account


def step(number, run):
    if number % run.params.every == 0:
        parents.clear()
        notes.clear()
    for _ in range(run.params.pairs):
        one, other = (run.rng.randrange(1_000_000) for _ in range(2))
        parents[root(one)] = root(other)
        notes.append(bytes(run.params.note))


scenario = benign(
    step,
    every=25,
    pairs=10,
    note=40,
    workloads=[{}, {"every": 45, "pairs": 3, "note": 600}, {"every": 13, "pairs": 60}],
)
