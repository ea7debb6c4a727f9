"""Columns of Arrow that are kept: native buffers of another library's pool."""

import pyarrow as pa
from _beside import beside

columns = []


def leak(step, size):
    columns.append(pa.array([b"x" * size]))  # leak


scenario = beside(leak, natural=500)
