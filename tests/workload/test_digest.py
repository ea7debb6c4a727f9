"""The digest of a workload's code changes with what it does, and not with what it says."""

from __future__ import annotations

import gc
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resleak.workload import catalog
from resleak.workload.digest import digest

CODE = '''"""A title."""
from resleak.declare import Scenario
from resleak.scenarios import _helper
scenario = Scenario(steps=10, claim="it leaks")

@scenario.variant()
def leaky(step, world):
    """Keep one."""
    world.append(_helper.one(step))  # opens
'''
HELPER = "def one(step):\n    return [step, None]\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of scenarios with one file and one helper."""
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys" / "case.py").write_text(CODE)
    (tmp_path / "_helper.py").write_text(HELPER)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A title.", "Another title."),
        ("Keep one.", "Retain one.\n\n    On purpose.\n    "),
        ("it leaks", "it grows"),
        ("# opens", "# opens the descriptor"),
        ("from resleak.declare import Scenario", "from resleak import Scenario"),
        ("    world.append(", "    world.append(\n        "),
        ('claim="it leaks"', 'claim="", condition="always", language="Python", claimed_by="ours"'),
        ("steps=10", "steps=10, fix_params=['size']"),
        ("variant()", "variant(origin='document code')"),
    ],
)
def test_words_do_not_count(root: Path, old: str, new: str) -> None:
    """Docstrings, comments, claims, imports of the package and layout leave the digest as it is."""
    file = root / "sys" / "case.py"
    before = digest(file, root)
    file.write_text(CODE.replace(old, new))
    assert file.read_text() != CODE
    assert digest(file, root) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps=10", "steps=11"),
        ("world.append", "world.extend"),
        ("leaky", "fixed"),
        ("_helper.one(step)", "_helper.one(None)"),
        ("from resleak.scenarios import _helper", "import json as _helper"),
    ],
)
def test_code_counts(root: Path, old: str, new: str) -> None:
    """A number, a name, an argument or another import changes the digest."""
    file = root / "sys" / "case.py"
    before = digest(file, root)
    file.write_text(CODE.replace(old, new))
    assert digest(file, root) != before


def test_helpers_count(root: Path) -> None:
    """A change in a helper, or in one that it imports or names, changes the digest."""
    file, helper = root / "sys" / "case.py", root / "_helper.py"
    digests = [digest(file, root)]
    helper.write_text(
        f"from resleak.scenarios._deep import more\nAPPS = ['resleak.scenarios._app']\n{HELPER}"
    )
    digests.append(digest(file, root))
    (root / "_deep.py").write_text("more = 1\n")
    digests.append(digest(file, root))
    (root / "_app").mkdir()
    (root / "_app" / "models.py").write_text("rows = 1\n")
    digests.append(digest(file, root))
    assert len(set(digests)) == 4


def test_no_two_scenarios_have_the_same_digest() -> None:
    """The digest tells all scenarios of the catalogue apart."""
    names = catalog.paths()
    assert len({digest(path) for path in names.values()}) == len(names)


def test_threads_may_ask_at_the_same_time(root: Path) -> None:
    """Collections that let another thread run in the middle of a syntax tree spoil no tree."""
    case = root / "sys" / "case.py"
    case.write_text(CODE + "x = [" + "(1, [2, -3]), " * 300 + "]\n")
    wait = threading.Barrier(4)

    def ask(_: int) -> set[str]:
        wait.wait()
        return {digest(case, root) for _ in range(8)}

    def let_others_run(phase: str, info: dict[str, int]) -> None:
        time.sleep(0)

    before = gc.get_threshold()
    gc.callbacks.append(let_others_run)
    gc.set_threshold(50)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert set.union(*pool.map(ask, range(4))) == {digest(case, root)}
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(let_others_run)


def test_a_pipe_has_no_digest(tmp_path: Path) -> None:
    """A pipe in the place of a file of code is not waited for."""
    os.mkfifo(tmp_path / "pipe.py")
    with pytest.raises(FileNotFoundError):
        digest(tmp_path / "pipe.py")
