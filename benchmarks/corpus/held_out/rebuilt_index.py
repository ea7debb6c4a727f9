"""An index of documents that is built anew now and then, beside the old one."""

from collections import defaultdict

from _work import benign

WORDS = [f"word{number}" for number in range(400)]
index, changes = {}, []


def step(number, run):
    changes.append([run.rng.choice(WORDS) for _ in range(20)])
    if number % run.params.every == 0:
        fresh = defaultdict(set)
        for document in range(run.params.documents):
            for word in run.rng.choices(WORDS, k=5):
                fresh[word].add(document)
        changes.clear()
        index["now"] = fresh


scenario = benign(
    step,
    every=25,
    documents=100,
    workloads=[{"every": 25}, {"every": 40, "documents": 300}],
)
