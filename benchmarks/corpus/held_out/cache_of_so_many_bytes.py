"""A cache bounded by bytes: as many of the answers asked for last as there is room for."""

from collections import OrderedDict

from _work import benign

answers, held = OrderedDict(), [0]


def step(_number, run):
    for _ in range(run.params.asked):
        key = int(run.rng.paretovariate(0.8))
        if key not in answers:
            answers[key] = bytes(run.rng.randrange(1100, 4000))
            held[0] += len(answers[key])
        answers.move_to_end(key)
        while held[0] > run.params.room:
            held[0] -= len(answers.popitem(last=False)[1])


scenario = benign(
    step,
    asked=8,
    room=120_000,
    workloads=[{"asked": 8}, {"asked": 20, "room": 300_000}],
)
