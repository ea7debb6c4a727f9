"""`%%resleak` and `resleak.measure`, as used in notebooks: in a real kernel, and in a process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from helpers import books

import resleak
from resleak.errors import ScenarioError
from resleak.report import share

LEAKS = """\
%%resleak --steps 40 --runs 1
import os
os.open(os.devnull, os.O_RDONLY)
"""
CLOSES = """\
%%resleak --steps 40 --runs 1 --name closes --out kept
import os

def step(i):
    os.close(os.open(os.devnull, os.O_RDONLY))
"""
HERE = """\
%%resleak --here --steps 60
opened.append(os.open(os.devnull, os.O_RDONLY))
"""
CELLS = [
    "%load_ext resleak",
    LEAKS,
    "assert _.verdict == 'leak' and '1  file descriptors   1 per step [1, 1]' in str(_), str(_)",
    CLOSES,
    "assert _.variant.gauge('fds').verdict == 'flat'",
    "import os\nopened = []",
    HERE,
    "assert _.verdict == 'leak' and len(opened) == 75 and 'fds leak' in str(_)",
    "%%resleak --here --steps 4\nopened.append(1)\n%env RESLEAK_SEEN=1",
    "assert os.environ['RESLEAK_SEEN'] == '1' and len(opened) > 75",
    "%%resleak --here --steps 4\ndef step():\n    opened.append(2)",
    "assert opened.count(2) == 5, opened",
    "%%resleak --here --steps 4\ndef setup():\n    pass\ndef step(i, given):\n    pass",
    "%%resleak --here --steps -4\npass",
    "%%resleak --name a/b\npass",
    "%%resleak --here --steps 4\nimport asyncio\nawait asyncio.sleep(0)",
    "%%resleak --here --steps 4\nasync def step(i):\n    pass",
    "%%resleak --steps '4\npass",
    "%%resleak --steps 4 --runs 1\nopened.append(1)",
    "%%resleak --steps 4\n!ls",
    "%%resleak --stepz 4\npass",
]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """Return what each cell printed and showed, and the folder it ran in."""
    folder = tmp_path_factory.mktemp("notebook")
    book = share.read(books.write(folder / "book.ipynb", *CELLS))
    share.run(book, folder, timeout_s=600)
    return ["".join(map(_told, cell.outputs)) for cell in book.cells], folder


def _told(output: Any) -> str:
    return str(output.get("text", "") or output.get("data", {}).get("text/html", ""))


def test_cells_are_measured_in_fresh_processes_and_here(outputs):
    """A cell leaks, another does not, and one in the kernel leaks: the notebook asserts it."""
    shown, folder = outputs
    assert "<b>LEAK  cell   1 cause" in shown[1]
    assert resleak.load(folder / "kept").variants == ["workload"]


def test_here_says_what_it_costs(outputs):
    """Measured in the kernel, the cell is told to be measured once, and to leave things behind."""
    assert "no second run confirms it" in outputs[0][6]
    assert "stays in this kernel" in outputs[0][6]


def test_mistakes_in_a_cell_are_one_line(outputs):
    """A variable of the notebook, a shell command and an unknown option are told in one line."""
    name, shell, option = (text.strip() for text in outputs[0][-3:])
    assert "NameError: name 'opened' is not defined" in name
    assert name.endswith("define it in the cell, or measure with --here")
    assert shell.startswith("resleak: line 1 of the cell is no Python")
    assert option.startswith("resleak: unrecognized arguments: --stepz 4; usage: %%resleak")
    assert [len(text.splitlines()) for text in (name, shell, option)] == [1, 1, 1]


def test_what_the_kernel_cannot_repeat_is_one_line(outputs):
    """An async cell is refused with --here instead of being judged without having run."""
    whole, step, quotes = (text.strip().splitlines()[-1] for text in outputs[0][-6:-3])
    assert whole == step
    assert step.startswith("resleak: the kernel's loop runs already: measure an async cell without")
    assert quotes.startswith("resleak: No closing quotation; usage: %%resleak")
    setup, steps, name = (text.strip().splitlines()[-1] for text in outputs[0][-9:-6])
    assert setup.startswith("resleak: --here runs no setup")
    assert steps == "resleak: cell: steps and block are at least 1, warmup at least 0"
    assert name.startswith("resleak: the name 'a/b' has a slash")


def test_measure_finds_a_leak_and_its_absence(tmp_path):
    """Within a process the faulty loop leaks exactly one descriptor a step, the other none."""
    kept: list[int] = []
    with resleak.measure("faulty") as faulty:
        for _ in faulty.steps(60, block=6):
            kept.append(os.open(os.devnull, os.O_RDONLY))
    with resleak.measure("sound") as sound:
        for _ in sound.steps(60, block=6):
            os.close(os.open(os.devnull, os.O_RDONLY))
    for one in kept:
        os.close(one)
    faulty.save(tmp_path)
    assert (faulty.capture.manifest.steps, faulty.capture.manifest.warmup) == (60, 15)
    rows = [m.frame.set_index("gauge").loc["fds"] for m in (faulty, sound)]
    assert [(row["verdict"], row["per_step"]) for row in rows] == [("leak", 1.0), ("flat", 0.0)]
    assert resleak.judge(resleak.load(tmp_path)).frame.equals(faulty.frame)


def test_measure_without_repetition_proves_nothing():
    """A block that was run once has a difference, and no verdict."""
    with resleak.measure("once") as once:
        one = os.open(os.devnull, os.O_RDONLY)
    os.close(one)
    assert "fds 1 descriptor" in str(once)
    with pytest.raises(ScenarioError, match="was not repeated"):
        _ = once.verdict


def test_a_loop_that_is_left_early_counts_as_far_as_it_came():
    """Steps that were taken before a break are judged; a second loop is refused."""
    with resleak.measure() as measured:
        for number in measured.steps(60, block=6):
            if number == 30:
                break
        with pytest.raises(ScenarioError, match="measured already"):
            next(measured.steps())
    assert measured.frame.set_index("gauge").loc["fds", "verdict"] in ("flat", "inconclusive")
    about = measured.capture.manifest
    assert about.warmup == 15
    assert 0 < about.steps < 30
