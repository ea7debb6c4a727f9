"""A console that records what it prints, for an export that nobody asks for."""

import io

from _work import pair
from rich.console import Console

console = Console(record=True, file=io.StringIO(), width=100)


def acquire(step, size):
    console.file.seek(0)
    console.file.truncate()
    console.print(f"{step:08} " + "x" * size, soft_wrap=True, markup=False, highlight=False)


scenario = pair(
    acquire,
    lambda _: console.export_text(clear=True),
    leaks="heap",
    natural=270,
    workloads=[{"rate": 600.0}, {"rate": 30.0}, {"rate": 450.0, "beside": 6.0}],
)
