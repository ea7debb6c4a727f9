"""Arrays of numpy that are kept: native buffers, small headers."""

import numpy as np
from _beside import beside

arrays = []


def leak(step, size):
    arrays.append(np.ones(size, dtype=np.uint8))  # leak


scenario = beside(leak, natural=130)
