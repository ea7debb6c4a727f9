"""Configurations of random sizes that go to YAML and to JSON and back; the last one stays."""

import json

import yaml
from _work import benign

last = {}


def step(_, run):
    rng = run.rng
    names = [f"option_{rng.randrange(1000)}" for _ in range(1 + rng.randrange(run.params.yaml))]
    text = yaml.dump({name: rng.random() for name in names}, Dumper=yaml.CSafeDumper)
    last["yaml"] = yaml.load(text, Loader=yaml.CSafeLoader)
    rows = [[rng.random(), "x" * rng.randrange(50)] for _ in range(rng.randrange(run.params.json))]
    last["json"] = json.loads(json.dumps(rows))


scenario = benign(
    step,
    yaml=20,
    json=100,
    workloads=[{}, {"yaml": 5, "json": 700}, {"yaml": 60, "json": 5}],
)
