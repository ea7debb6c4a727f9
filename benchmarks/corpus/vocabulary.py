"""A table of all words that were ever seen: of words there are only so many."""

from _work import benign

words = {}


def step(_number, run):
    for _ in range(5):
        word = run.rng.randrange(run.params.size)
        words.setdefault(word, f"word number {word}")


scenario = benign(step, size=100, workloads=[{"size": 100}, {"size": 500}, {"size": 2000}])
