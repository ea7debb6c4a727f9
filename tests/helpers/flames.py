"""Profiles made up for tests of the flame graph, and its model asked in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resleak.analysis.stacks import Profile
from resleak.figures.flame import Flame, flamegraph

SCRIPTS = Path(__file__).parents[2] / "resleak" / "figures" / "flame"
#: The parts that need no page.
MODEL = tuple(SCRIPTS / f"{name}.mjs" for name in ("data", "model", "trees"))
EVIL = "</script><img src=x onerror=alert(1)><script>alert(2)</script>"
_ASK = f"""
const paths = {json.dumps([path.as_uri() for path in MODEL])};
const m = Object.assign({{}}, ...(await Promise.all(paths.map((path) => import(path)))));
let text = "";
for await (const part of process.stdin) text += part;
const {{ payload, code }} = JSON.parse(text);
const p = await m.decode(payload);
const tell = (tree, channel = 0) => Array.from({{ length: tree.size }}, (_, node) =>
  [m.pathOf(tree, node).map((f) => m.functionOf(p, f)), tree.total[channel][node]]);
console.log(JSON.stringify(new Function("m", "p", "tell", `return ${{code}}`)(m, p, tell)));
"""


Row = tuple[int, str, str, bool]
Change = tuple[int, int, float, float]


def profile(rows: Sequence[Row], changes: Sequence[Change], edges: Sequence[float]) -> Profile:
    """Return a profile of frames (parent, function, file, studied), each at line 7."""
    frames = pd.DataFrame(rows, columns=["parent", "function", "file", "studied"])
    frames = frames.astype({"parent": int, "studied": bool})
    depth: list[int] = []
    for parent in frames["parent"]:
        depth.append(depth[parent] + 1 if parent >= 0 else 0)
    frames = frames.assign(node=range(len(frames)), line=7, depth=np.array(depth, dtype=int))
    table = pd.DataFrame(changes, columns=["window", "node", "bytes", "count"])
    return Profile(frames, np.array(edges, dtype=float), table, "step", captures=1)


#: A small service: ``load`` is called by two, and ``json`` grows in the second window only.
ROWS: list[Row] = [
    (-1, "main", "app.py", False),
    (0, "step", "app/cache.py", True),
    (1, "load", "<stdlib>/json/__init__.py", False),
    (2, "decode", "<stdlib>/json/decoder.py", False),
    (1, "put", "app/cache.py", True),
    (0, "other", "helper.py", False),
    (5, "load", "<stdlib>/json/__init__.py", False),
    (6, "decode", "<stdlib>/json/decoder.py", False),
    (-1, "_call", "<frozen importlib._bootstrap>", False),
    (8, "plugin", "plugin.py", False),
]
CHANGES: list[Change] = [
    (0, 4, 1000.0, 10.0),
    (0, 7, 500.0, 5.0),
    (0, 9, 300.0, 3.0),
    (0, 5, -900.0, -9.0),
    (1, 3, 4000.0, 4.0),
    (1, 4, 1000.0, 10.0),
    (1, 7, -200.0, -1.0),
]
EDGES = [10.0, 110.0, 210.0]


def service() -> Profile:
    """Return the small service's profile."""
    return profile(ROWS, CHANGES, EDGES)


def fixed() -> Profile:
    """Return the profile of its fixed version: `put` is gone, `other` is new."""
    return profile(ROWS, [(0, 3, 4000.0, 4.0), (0, 7, 300.0, 4.0), (1, 5, 800.0, 8.0)], EDGES)


def random(
    seed: int, size: int = 60, windows: int = 5, frames: pd.DataFrame | None = None
) -> Profile:
    """Return a profile with recursion, shrinking stacks and frames that come up in many places."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    stack: list[int] = []
    files = ["app.py", "<stdlib>/a.py", "<frozen importlib._bootstrap>", "lib.py"]
    for node in range(size):
        stack = stack[: rng.integers(0, len(stack) + 1)] if rng.random() < 0.5 else stack
        kind = int(rng.integers(0, 9))
        rows.append((stack[-1] if stack else -1, f"f{kind}", files[kind % 4], kind == 0))
        stack = [*stack, node]
    many = int(rng.integers(size, 3 * size))
    table = {(int(rng.integers(windows)), int(rng.integers(size))) for _ in range(many)}
    values = [(w, n, float(rng.integers(-900, 2000)), float(rng.integers(0, 9))) for w, n in table]
    made = profile(rows, values, np.linspace(0, 100 * windows, windows + 1).tolist())
    return made if frames is None else replace(made, frames=frames)


def large(size: int, seed: int = 0, windows: int = 8) -> Profile:
    """Return a profile of about as many stacks, with names and sizes as they are found."""
    rng = np.random.default_rng(seed)
    depth, parents, stack = [], [], np.zeros(size + 1, dtype=int)
    level = -1
    for node, up in enumerate(rng.geometric(0.45, size)):
        level = max(0, min(level + 2 - up, 60)) if rng.random() > 0.01 else 0
        parents.append(int(stack[level - 1]) if level else -1)
        depth.append(level)
        stack[level] = node
    kinds = max(20, size // 10)
    which = np.minimum(rng.zipf(1.3, size), kinds) - 1
    tops = ["<stdlib>/{}.py", "<site-packages>/{}/core.py", "app/{}.py", "src/service/{}.py"]
    files = np.array([tops[k % 4].format(f"module_{k // 12}") for k in range(kinds)])
    names = np.array([f"function_{k}" if k % 5 else f"Class{k}.method" for k in range(kinds)])
    frames = pd.DataFrame({"node": range(size), "parent": parents, "depth": depth})
    frames = frames.assign(
        function=names[which], file=files[which], line=1 + which % 700, studied=which % 40 == 2
    )
    leaves = np.flatnonzero(rng.random(size) < 0.6)
    sizes = (rng.pareto(1.2, len(leaves)) * 64).astype(int) + 16
    parts = []
    for window in range(windows):
        on = rng.random(len(leaves)) < 1 / windows + 0.05
        counts = 1 + (sizes[on] > 500)
        parts.append(
            pd.DataFrame(
                {"window": window, "node": leaves[on], "bytes": sizes[on], "count": counts}
            )
        )
    edges = np.linspace(20, 420, windows + 1)
    return Profile(frames, edges, pd.concat(parts, ignore_index=True), "step", captures=1)


def ask(flame: Flame, code: str) -> Any:
    """Return what the model answers in Node: `m` is the module, `p` the decoded profile."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node")
    done = subprocess.run(
        [node, "--input-type=module", "-e", _ASK],
        input=json.dumps({"payload": flame.payload, "code": code}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def asked(made: Profile, code: str, before: Profile | None = None) -> Any:
    """Return what the model answers of a profile."""
    return ask(flamegraph(made, before=before), code)
