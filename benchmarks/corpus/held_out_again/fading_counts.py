"""Counts of words that fade at each step; those that have faded away are dropped."""

from _work import benign

counts = {}


def step(_, run):
    for word in list(counts):
        counts[word] *= run.params.factor
        if counts[word] < 0.1:
            del counts[word]
    for _ in range(run.rng.randrange(2 * run.params.words)):
        word = f"word {int(run.rng.paretovariate(run.params.shape) * 10)}"
        counts[word] = counts.get(word, 0.0) + 1.0


scenario = benign(
    step,
    factor=0.95,
    words=8,
    shape=0.4,
    workloads=[{}, {"factor": 0.8, "words": 60}, {"factor": 0.97, "words": 5, "shape": 0.8}],
)
