"""A workload runs as Python would run it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from resleak.captures import load
from resleak.errors import ScenarioError
from resleak.harness.runner import capture


def run(folder: Path, body: str, **options: object) -> None:
    (folder / "mine.py").write_text(textwrap.dedent(body))
    capture(str(folder / "mine.py"), runs=1, steps=4, stacks=False, out=folder / "out", **options)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_worker_processes_find_its_functions(tmp_path: Path, method: str) -> None:
    """A pool of new processes calls a function of the workload, and ends."""
    run(
        tmp_path,
        f"""
        import multiprocessing, pathlib

        def square(n):
            return n * n

        def step(i):
            with multiprocessing.get_context("{method}").Pool(1) as pool:
                squares = pool.map(square, [2, 3])
            pathlib.Path(__file__).with_name("squares").write_text(str(squares))
        """,
    )
    assert (tmp_path / "squares").read_text() == "[4, 9]"


def test_it_sees_what_a_script_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its arguments, file, first place on the path and working folder are those of a script."""
    monkeypatch.chdir(tmp_path)
    run(
        tmp_path,
        """
        import json, os, pathlib, sys
        seen = [sys.argv, __file__, sys.path[0], os.getcwd(), __name__]
        if __name__ == "__main__":
            raise SystemExit("it is imported, not run")
        pathlib.Path(__file__).with_name("seen").write_text(json.dumps(seen))
        def step(i): pass
        """,
    )
    file, folder = str(tmp_path / "mine.py"), str(tmp_path)
    expected = f'[["{file}"], "{file}", "{folder}", "{folder}", "mine"]'
    assert (tmp_path / "seen").read_text() == expected


def test_a_returned_awaitable_is_awaited(tmp_path: Path) -> None:
    """A plain function that returns a coroutine has its body run."""
    run(
        tmp_path,
        """
        import asyncio, pathlib

        async def work(i):
            await asyncio.sleep(0)
            pathlib.Path(__file__).with_name("done").write_text(str(i))

        def step(i):
            return work(i)
        """,
    )
    assert int((tmp_path / "done").read_text()) > 0


def test_its_code_outlives_the_import(tmp_path: Path) -> None:
    """A constant that an extension borrows from the code of the module stays alive."""
    run(
        tmp_path,
        """
        import gc, pathlib, sys
        from resleak.workload import catalog
        number = id(sys._getframe().f_code)

        def step(i):
            gc.collect()
            kept = any(id(code) == number for code in catalog._CODE)
            pathlib.Path(__file__).with_name("kept").write_text(str(kept))
        """,
    )
    assert (tmp_path / "kept").read_text() == "True"


@pytest.mark.parametrize("word", ["def", "async def"])
def test_a_generator_is_refused(tmp_path: Path, word: str) -> None:
    """A step with a yield would run nothing, and is refused in a line."""
    with pytest.raises(ScenarioError, match="has a yield, so a call runs nothing of it"):
        run(tmp_path, f"{word} step(i):\n    yield i\n")


def test_a_hang_at_exit_that_an_import_causes_is_measured(tmp_path: Path) -> None:
    """A thread that an import starts, and that never ends, is what keeps the process alive."""
    file = tmp_path / "mine.py"
    file.write_text(
        "import threading\n"
        "from resleak import Scenario\n"
        "threading.Thread(target=threading.Event().wait, name='poller').start()\n"
        "scenario = Scenario(exit_deadline_s=1.0)\n"
        "@scenario.variant()\n"
        "def idle(i, _): pass\n"
    )
    capture(str(file), runs=1, steps=4, instruments=["gauges"], out=tmp_path / "out")
    assert load.load(tmp_path / "out")[0].manifest.exit.status == "hung"
