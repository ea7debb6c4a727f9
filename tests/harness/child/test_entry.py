"""A file next to a workload is neither run by our instruments nor missed by the workload."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from resleak.captures import load
from resleak.harness.runner import capture

NAMES = (
    *("types", "select", "random", "numpy", "json", "logging", "socket", "psutil", "memray"),
    *("tokenize", "traceback", "threading", "asyncio", "resource", "email"),
)
BODY = """
    from pathlib import Path
    Path(__file__).with_name("run").open("a").write(__name__ + "\\n")
    raise ImportError("this file is not ours to run")
"""


def shadow(folder: Path, body: str = BODY) -> None:
    for name in NAMES:
        (folder / f"{name}.py").write_text(textwrap.dedent(body))


@pytest.mark.parametrize("names_in", ["workload folder", "working folder"])
def test_ordinary_file_names_disable_no_instrument(
    tmp_path: Path, names_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 15 such names beside it, a workload is measured with all four instruments."""
    here, work = tmp_path / "here", tmp_path / "work"
    here.mkdir()
    work.mkdir()
    monkeypatch.chdir(here)
    shadow(work if names_in == "workload folder" else here)
    (work / "leaks.py").write_text("kept = []\ndef step(i): kept.append(bytes(1000))")
    folders = capture(str(work / "leaks.py"), runs=1, steps=60, out=tmp_path / "out")
    captures = load.load(tmp_path / "out")
    assert [c.instrument for c in captures] == ["gauges", "memray", "handles", "forensics"]
    assert len(folders) == 4
    assert {"rss", "fds", "heap"} <= set(captures[0].trace.columns)
    assert not (here / "run").exists()
    assert not (work / "run").exists()


def test_a_workload_imports_its_own_file(tmp_path: Path) -> None:
    """An import statement in the workload finds the file beside it, as plain Python does."""
    shadow(tmp_path, "OURS = True\nimport enum\nclass Kept: pass")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").write_text("import select\nfrom json import OURS")
    # What is built into the interpreter comes before any file.
    names = [name for name in NAMES if name not in sys.builtin_module_names]
    statements = "\n".join(f"import {name}; assert {name}.OURS" for name in names)
    (tmp_path / "work.py").write_text(
        f"{statements}\nimport own, select\nassert own.select is select\n"
        "import sys, os, json\nassert not hasattr(sys.modules['os'], 'OURS')\n"
        "def step(i):\n    import psutil\n    assert psutil.OURS\n"
    )
    capture(str(tmp_path / "work.py"), runs=1, steps=60, out=tmp_path / "out")
    assert len(load.load(tmp_path / "out")) == 4
