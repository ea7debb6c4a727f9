"""Lines that are collected until there are enough of them, and then appended to a file."""

from _work import benign

lines = []


def step(number, run):
    for index in range(run.rng.randrange(1, 8)):
        lines.append(f"{number}.{index} " + "x" * run.rng.randrange(run.params.longest))
    if len(lines) >= run.params.enough:
        with open(run.workdir / "out.log", "w") as file:
            file.write("\n".join(lines))
        lines.clear()


scenario = benign(
    step,
    enough=100,
    longest=400,
    workloads=[{"enough": 100}, {"enough": 220}, {"enough": 60, "longest": 8000}],
)
