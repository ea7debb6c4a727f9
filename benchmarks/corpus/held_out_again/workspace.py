"""A workspace for matrices, used again and enlarged to the next power of two if need be."""

import numpy as np
from _work import benign

space = [np.zeros(8)]


def step(_, run):
    rows = 2 + int(run.rng.betavariate(2, 3) * run.params.rows)
    while space[0].size < 2 * rows * rows:
        space[0] = np.zeros(2 * space[0].size)
    matrix = space[0][: rows * rows].reshape(rows, rows)
    matrix[:] = run.rng.random()
    np.multiply(matrix, 2.0, out=space[0][rows * rows : 2 * rows * rows].reshape(rows, rows))


scenario = benign(step, rows=30, workloads=[{"rows": 30}, {"rows": 80}, {"rows": 250}])
