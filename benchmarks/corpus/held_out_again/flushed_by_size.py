"""Lines of a log, collected in memory and written to a file when they are enough."""

from _work import benign

lines, total = [], [0]


def step(number, run):
    for _ in range(run.rng.randrange(2 * run.params.lines)):
        line = f"{number} " + "x" * int(run.rng.expovariate(1 / run.params.mean))
        lines.append(line)
        total[0] += len(line)
    if total[0] >= run.params.most:
        (run.workdir / "service.log").write_text("\n".join(lines))
        lines.clear()
        total[0] = 0


scenario = benign(
    step,
    lines=8,
    mean=100,
    most=30_000,
    workloads=[{}, {"lines": 20, "mean": 300, "most": 250_000}, {"mean": 20, "most": 2000}],
)
