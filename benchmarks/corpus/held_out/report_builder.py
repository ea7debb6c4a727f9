"""A report that is written page by page into one buffer, sent, and begun again."""

import io

from _work import benign

report = io.StringIO()


def step(number, run):
    report.write(f"page {number}\n" + "line\n" * run.rng.randrange(2 * run.params.lines))
    if number % run.params.pages == run.params.pages - 1:
        report.seek(0)
        report.truncate()


scenario = benign(step, lines=100, pages=29, workloads=[{"pages": 29}, {"pages": 47, "lines": 900}])
