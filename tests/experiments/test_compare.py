"""One workload under several allocators; `test_investigate.py` compares environments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.allocators import LEAK, library

from resleak.errors import ScenarioError
from resleak.experiments.compare import LIBRARIES, compare_allocators
from resleak.harness.plan import CaptureOptions


def test_memory_in_use_grows_with_each(tmp_path: Path, cli) -> None:
    """A leak of the code shows under both allocators, each of which says what is in use."""
    library("jemalloc")
    (tmp_path / "native.py").write_text(LEAK)
    options = ["--steps", "24", "--runs", "2", "--out", str(tmp_path / "out"), "--json"]
    done = cli(
        "investigate", str(tmp_path / "native.py"), "--allocator", "glibc,jemalloc", *options
    )
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["sentence"] == "the code keeps memory: what is in use grows with glibc, jemalloc"
    assert list(told["allocators"]) == ["glibc", "jemalloc"]


def test_an_unknown_allocator_is_refused(tmp_path: Path) -> None:
    """The message lists those that are known."""
    with pytest.raises(ScenarioError, match=f"choose among glibc, {', '.join(LIBRARIES)}"):
        compare_allocators("mine.py", ["hoard"], CaptureOptions(out=tmp_path), 1.0)
