"""Memray captures become tables, and the tables name the line that leaks."""

from __future__ import annotations

import json
import mmap
import random
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import resleak
from resleak import stacks, store
from resleak.errors import StoreError
from resleak.stacks import ledger
from resleak.stacks.ledger import Ledger, Maps, Replay
from resleak.stacks.trie import HARNESS, NO_STACK, Trie, names

memray = pytest.importorskip("memray")

WARMUP, STEPS, BLOCK = 20, 160, 10
#: A leak of 3000 bytes per step beside a cache of 1 MB that replaces 40 of its 100 entries.
PROGRAM = """
import gc, json, mmap, os, random, signal, sys
import memray

path, variant, compress = sys.argv[1], sys.argv[2], sys.argv[3] == "compress"
warmup, steps, block = map(int, sys.argv[4:7])
rng, kept, cache, marks = random.Random(1), [], {}, []

def _resleak_mark(index):
    mmap.mmap(-1, mmap.PAGESIZE * (index + 1)).close()

def mark(step):
    gc.collect()
    phase = "steady" if step > warmup else "warmup"
    marks.append({"mark": len(marks), "step": step, "phase": phase})
    _resleak_mark(len(marks) - 1)

def churn():
    for _ in range(40):
        cache[rng.randrange(100)] = bytes(9_900 + rng.randrange(200))

def leaky():
    kept.append(json.loads(TEXT))  # the leak

def cured():
    kept[:] = [json.loads(TEXT)]

TEXT = json.dumps("x" * (3000 - 49))
cache.update((key, bytes(10_000)) for key in range(100))
destination = memray.FileDestination(path, overwrite=True, compress_on_exit=compress)
with memray.Tracker(destination=destination, trace_python_allocators=True):
    mark(0)
    for step in range(1, warmup + steps + 1):
        (cured if variant == "cured" else leaky)()
        churn()
        if step % block == 0:
            mark(step)
    print(json.dumps(marks), flush=True)
    if variant == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
"""
LEAK = PROGRAM.splitlines().index("    kept.append(json.loads(TEXT))  # the leak") + 1
CHURN = next(i for i, line in enumerate(PROGRAM.splitlines(), 1) if "cache[rng" in line)


@dataclass
class Made:
    """A memray capture made by a real process."""

    path: Path
    program: Path
    marks: list[dict[str, Any]]

    def read(self, folder: Path, capture: Path | None = None) -> dict[str, Any]:
        folder.mkdir(exist_ok=True)
        return stacks.read(capture or self.path, folder, self.marks, [self.program])


@dataclass
class Tables:
    """Tables by name, as a capture has them."""

    tables: dict[str, pd.DataFrame]
    instrument: str = "memray"

    def table(self, name: str) -> pd.DataFrame:
        return self.tables[name]


def tables(folder: Path) -> Tables:
    wanted = ("stacks", "live", "marks")
    return Tables({n: store.read_table(folder / f"{n}.parquet").to_pandas() for n in wanted})


def make(folder: Path, variant: str, compress: bool = True, steps: int = STEPS) -> Made:
    program, capture = folder / "program.py", folder / f"{variant}-{compress}.bin"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(capture), variant]
    command += ["compress" if compress else "raw", str(WARMUP), str(steps), str(BLOCK)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout, result.stderr
    return Made(capture, program, json.loads(result.stdout))


@pytest.fixture(scope="module", autouse=True)
def _bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the many readers started here share compiled modules, whatever the environment says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("leaky"), "leaky")


@pytest.fixture(scope="module")
def leaky_tables(leaky: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tables, Path, Any]:
    folder = tmp_path_factory.mktemp("tables")
    facts = leaky.read(folder)
    return tables(folder), folder, facts


def test_the_leak_comes_first_at_its_rate(leaky_tables: tuple[Tables, Path, Any]) -> None:
    """The line that keeps 3000 bytes a step is first, within 5 %, and its cache is about level."""
    found = stacks.sites([leaky_tables[0]])
    first = found.iloc[0]
    assert (first["function"], first["file"], first["line"]) == ("leaky", "program.py", LEAK)
    assert first["bytes_per_step"] == pytest.approx(3000, rel=0.05)
    assert 0.95 * 3000 < first["low"] <= first["bytes_per_step"] <= first["high"]
    assert first["leaf_file"].startswith("<stdlib>/json/")
    cache = found[found["line"] == CHURN]
    assert (cache["bytes_per_step"].abs() < 50).all()
    assert first["share"] > 0.95


def test_replicates_sharpen_the_same_site(leaky_tables: tuple[Tables, Path, Any]) -> None:
    """Two captures of one variant give one row a site, with the mean of their rates."""
    one, two = (stacks.sites([leaky_tables[0]] * n) for n in (1, 2))
    assert len(one) == len(two)
    assert two["bytes_per_step"].iloc[0] == pytest.approx(one["bytes_per_step"].iloc[0])
    assert two.attrs["captures"] == 2


def test_a_cured_program_has_no_site(tmp_path: Path) -> None:
    """Without the leak no line grows by 50 bytes a step."""
    made = make(tmp_path, "cured")
    made.read(tmp_path / "tables")
    found = stacks.sites([tables(tmp_path / "tables")])
    assert len(found)
    assert found["bytes_per_step"].max() < 50


def test_the_capture_is_known_to_be_whole(leaky_tables: tuple[Tables, Path, Any]) -> None:
    """A whole capture has all its records and marks, and no stack is missing."""
    facts = leaky_tables[2]
    assert facts["records"] == facts["declared_records"] > 10_000
    assert facts["marks"] == facts["expected_marks"] == 1 + (WARMUP + STEPS) // BLOCK
    assert facts["without_stack"] < 0.01
    assert not facts["truncated"]
    assert not facts["reserved"]


def test_no_path_of_this_machine_is_stored(
    leaky: Made, leaky_tables: tuple[Tables, Path, Any]
) -> None:
    """Files are named by their place; the name of the folder they were in is nowhere."""
    table, folder, _ = leaky_tables
    assert not table.table("stacks")["file"].str.contains(r"^/|^\w:|/home/|/tmp/").any()
    secrets = [str(leaky.program.parent).encode(), str(Path.home()).encode() + b"/", b"/tmp/"]
    for name in ("stacks", "live", "marks"):
        content = (folder / f"{name}.parquet").read_bytes()
        assert not any(secret in content for secret in secrets)


def test_columns_carry_units(leaky_tables: tuple[Tables, Path, Any]) -> None:
    """The schema says that bytes are bytes and counts are blocks."""
    schema = store.read_table(leaky_tables[1] / "live.parquet").schema
    units = {f.name: f.metadata[b"unit"].decode() for f in schema if f.name in ("bytes", "count")}
    assert units == {"bytes": "B", "count": "blocks"}


def test_live_bytes_add_up_over_the_marks(leaky_tables: tuple[Tables, Path, Any]) -> None:
    """The sum of changes up to a mark is what was live there: 3000 bytes for each step so far."""
    table = leaky_tables[0]
    frame, live = table.table("stacks"), table.table("live")
    values = frame.index[frame["function"] == "raw_decode"]
    kept = live[live["node"].isin(values)].groupby("step")["bytes"].sum().cumsum()
    assert kept.loc[WARMUP + STEPS] == pytest.approx(3000 * (WARMUP + STEPS), rel=0.02)
    assert kept.loc[WARMUP] == pytest.approx(3000 * WARMUP, rel=0.02)


def test_a_tree_adds_up(leaky_tables: tuple[Tables, Path, Any]) -> None:
    """Each total is its own part and its children's totals, and pruning keeps ancestors."""
    grown = stacks.tree([leaky_tables[0]])
    children = grown.groupby("parent")["bytes_per_step"].sum()
    total = grown["self_bytes_per_step"] + grown["node"].map(children).fillna(0.0)
    assert np.allclose(total, grown["bytes_per_step"])
    assert (grown["parent"] < grown["node"]).all()
    few = stacks.prune(grown, 4)
    assert len(few) == 4
    assert set(few["parent"]) <= {-1, *few["node"]}
    assert few["bytes_per_step"].max() == grown["bytes_per_step"].max()


def test_a_killed_run_keeps_what_it_had(tmp_path: Path) -> None:
    """A run that was killed is read up to its end, and is known to be cut off."""
    made = make(tmp_path, "killed")
    facts = made.read(tmp_path / "tables")
    assert facts["truncated"]
    assert facts["declared_records"] == 0
    first = stacks.sites([tables(tmp_path / "tables")]).iloc[0]
    assert (first["line"], round(first["bytes_per_step"], -2)) == (LEAK, 3000)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"a text file, and no more than that; it goes on for a while", "is not a capture"),
        (b"memray\0" + bytes(60), "another version"),
        (b"memray\0", "cut off in its header"),
        (b"\x04\x22\x4d\x18" + bytes(60), "cannot be read"),
    ],
    ids=["empty", "text", "version", "header", "lz4"],
)
def test_what_is_no_capture_is_told_in_one_line(tmp_path: Path, content: bytes, told: str) -> None:
    """A file that cannot be read gives one sentence, without a path of this machine."""
    (tmp_path / "memray.bin").write_bytes(content)
    with pytest.raises(StoreError, match=told) as caught:
        stacks.read(tmp_path / "memray.bin", tmp_path, [], [])
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_file_and_a_slow_read_are_errors(leaky: Made, tmp_path: Path) -> None:
    """A file that is not there, and a read that takes too long, give a StoreError each."""
    with pytest.raises(StoreError, match="is missing"):
        stacks.read(tmp_path / "memray.bin", tmp_path, [], [])
    with pytest.raises(StoreError, match="within"):
        stacks.read(leaky.path, tmp_path, leaky.marks, [], timeout_s=0.01)


def test_the_command_exits_with_two(tmp_path: Path) -> None:
    """Run by itself, the reader writes one line on the error stream and exits with 2."""
    (tmp_path / "memray.bin").touch()
    (tmp_path / "marks.json").write_text("[]")
    command = [sys.executable, "-m", "resleak.stacks", "memray.bin", ".", "--marks", "marks.json"]
    found = {"PYTHONPATH": str(Path(resleak.__file__).parents[1])}
    result = subprocess.run(command, cwd=tmp_path, env=found, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("compress", [True, False])
def test_damage_never_passes_for_a_whole_capture(tmp_path: Path, compress: bool) -> None:
    """A capture cut anywhere gives an error or is known to be cut; the caller goes on."""
    made = make(tmp_path, "leaky", compress, steps=20)
    content = made.path.read_bytes().rstrip(b"\0")
    cuts = [20, 200, *(int(len(content) * part) for part in (0.3, 0.6, 0.95))]
    results = outcomes(made, tmp_path, [content[:cut] for cut in cuts])
    assert None in results
    assert any(results)
    for facts in filter(None, results):
        assert facts["truncated"]
        assert facts["marks"] < facts["expected_marks"]


@pytest.mark.slow
def test_flipped_bytes_never_take_the_caller_along(tmp_path: Path) -> None:
    """Thirty captures with a flipped bit each give an error or a result, never a crash."""
    made = make(tmp_path, "leaky", compress=False, steps=20)
    content = made.path.read_bytes()
    damaged = []
    for seed in range(30):
        copy, rng = bytearray(content), random.Random(seed)
        copy[rng.randrange(200, len(content.rstrip(b"\0")))] ^= 1 << rng.randrange(8)
        damaged.append(bytes(copy))
    results = outcomes(made, tmp_path, damaged)
    assert len(results) == 30
    assert any(facts and facts["truncated"] for facts in results)
    for facts in filter(None, results):
        assert facts["truncated"] == (facts["records"] != facts["declared_records"])


def outcomes(made: Made, folder: Path, contents: list[bytes]) -> list[dict[str, Any] | None]:
    """Return what reading each content gave; None for an error that says so."""

    def outcome(numbered: tuple[int, bytes]) -> dict[str, Any] | None:
        capture = folder / f"damaged-{numbered[0]}.bin"
        capture.write_bytes(numbered[1])
        try:
            return made.read(folder / f"tables-{numbered[0]}", capture)
        except StoreError as error:
            if re.fullmatch(rf"{capture.name} (is|cannot be read)[^\n]*", str(error)):
                return None
            raise

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(outcome, enumerate(contents)))


def test_a_crash_of_the_reader_is_an_error(tmp_path: Path) -> None:
    """A capture that ends more calls than it began crashes its reader, not the caller."""
    made = make(tmp_path, "leaky", compress=False, steps=20)
    ends_calls, begins_call, trailer = b"\x1f" * 4_000_000, b"\x40\x01\x02", b"\x01"
    content = made.path.read_bytes().rstrip(b"\0")
    assert content.endswith(trailer)
    made.path.write_bytes(content[:-1] + ends_calls + begins_call + trailer)
    with pytest.raises(StoreError, match="damaged: its reader ended with SIG"):
        made.read(tmp_path / "tables")


# The rule, on made-up tables with known answers.


def made_up(curves: dict[str, np.ndarray], file: str = "app.py") -> Tables:
    """Return the tables of a run with one stack for each curve of live bytes by mark."""
    count = len(next(iter(curves.values())))
    marks = pd.DataFrame({"mark": range(count), "step": range(0, 10 * count, 10)})
    marks["phase"] = "steady"
    rows = [
        {"mark": mark, "step": 10 * mark, "phase": "steady", "node": node, "bytes": b, "count": 1}
        for node, curve in enumerate(curves.values())
        for mark, b in enumerate(np.diff(curve, prepend=0.0))
    ]
    frames = [
        {"node": n, "parent": -1, "function": name, "file": file, "line": n + 1, "studied": True}
        for n, name in enumerate(curves)
    ]
    return Tables({"marks": marks, "live": pd.DataFrame(rows), "stacks": pd.DataFrame(frames)})


@pytest.mark.parametrize("seed", range(5))
def test_what_lasts_comes_before_what_is_large(seed: int) -> None:
    """A small leak outranks a churning cache that happens to end high, and one that fills up."""
    rng, marks = np.random.default_rng(seed), np.arange(41)
    churning = 1e6 + 2e5 * rng.standard_normal(41)
    churning[-1] = churning[0] + 4e5
    curves = {
        "churning": churning,
        "filling": np.minimum(marks, 16) * 50_000.0,
        "leak": marks * 10 * 3000.0,
        "level": np.full(41, 5e6),
    }
    found = stacks.sites([made_up(curves)]).set_index("function")
    assert found.index[0] == "leak"
    assert found.loc["leak", "bytes_per_step"] == pytest.approx(3000)
    assert found.loc["leak", "low"] == pytest.approx(3000)
    assert (found.loc[["churning", "filling"], "bytes_per_step"] > 0).all()
    assert (found.loc[["churning", "filling"], "low"] <= 0).all()
    assert "level" not in found.index or found.loc["level", "bytes_per_step"] == 0


def test_a_tree_tells_growth_that_lasts(tmp_path: Path) -> None:
    """In the tree, only the stack that grows in every window is said to last."""
    marks = np.arange(41)
    curves = {"leak": marks * 100.0, "filling": np.minimum(marks, 9) * 900.0, "drains": -marks}
    grown = stacks.tree([made_up(curves)]).set_index("function")
    assert grown["lasting"].to_dict() == {"leak": True, "filling": False}


@pytest.mark.parametrize("marks", [0, 1])
def test_too_few_marks_say_nothing(marks: int) -> None:
    """Without two steady marks there is no row, and the tables say from how many captures."""
    few = made_up({"leak": np.arange(3) * 100.0})
    few.tables["marks"] = few.tables["marks"].head(marks)
    assert stacks.sites([few]).empty
    assert stacks.tree([few]).empty
    assert stacks.sites([few]).attrs["captures"] == stacks.tree([few]).attrs["captures"] == 0


def test_a_site_is_the_innermost_line_one_can_change() -> None:
    """A site is the studied frame, else the innermost outside the libraries, else the leaf."""
    frames = [
        (-1, "main", "studied.py", True),
        (0, "get", "<site-packages>/httpx/_client.py", False),
        (-1, "thread", "<stdlib>/threading.py", False),
        (2, "helper", "helper.py", False),
        (3, "loads", "<stdlib>/json/__init__.py", False),
        (2, "alone", "<stdlib>/queue.py", False),
    ]
    names_of = ["parent", "function", "file", "studied"]
    frame = pd.DataFrame(frames, columns=names_of).assign(node=range(6), line=range(6))
    live = [
        {"mark": mark, "step": 10 * mark, "phase": "steady", "node": node, "bytes": 10, "count": 1}
        for mark in range(1, 9)
        for node in (1, 4, 5)
    ]
    marks = pd.DataFrame({"mark": range(9), "step": range(0, 90, 10), "phase": "steady"})
    run = Tables({"stacks": frame, "live": pd.DataFrame(live), "marks": marks})
    found = stacks.sites([run]).set_index("function")
    assert set(found.index) == {"main", "helper", "alone"}
    assert found.loc["main", "leaf_function"] == "get"
    assert found.loc["helper", "leaf_function"] == "loads"


# Bookkeeping, against slow and obvious models.


@dataclass
class Event:
    """One record of an allocation stream."""

    allocator: int
    address: int
    size: int = 0
    stack_id: int = 1
    stack: list[tuple[str, str, int]] = field(default_factory=lambda: [("f", "a.py", 1)])

    def stack_trace(self, max_stacks: int | None = None) -> list[tuple[str, str, int]]:
        return self.stack


def test_the_numbers_of_allocators_are_those_of_memray() -> None:
    """The allocator numbers that are written down here are the profiler's own."""
    for name in ("PYMALLOC_FREE", "FREE", "MMAP", "MUNMAP"):
        assert getattr(ledger, name) == memray.AllocatorType[name]


@pytest.mark.parametrize("seed", range(5))
def test_maps_agree_with_counting_pages(seed: int) -> None:
    """Maps that overlap, split and vanish in part are accounted as pages counted one by one."""
    rng, book, pages = random.Random(seed), Ledger(), {}
    maps, total = Maps(book), defaultdict(int)
    for node in range(300):
        start, size = rng.randrange(60), rng.randrange(1, 12)
        for page in range(start, start + size):
            pages.pop(page, None)
        if rng.random() < 0.6:
            maps.add(start, size, node)
            pages.update(dict.fromkeys(range(start, start + size), node))
        else:
            maps.cut(start, size)
        for changed, amount, _ in book.take():
            total[changed] += amount
        assert maps.mapped == len(pages)
    held = {node: list(pages.values()).count(node) for node in set(pages.values())}
    assert {node: amount for node, amount in total.items() if amount} == held


@pytest.mark.parametrize("seed", range(5))
def test_blocks_agree_with_a_dictionary(seed: int) -> None:
    """Blocks freed young, old, twice, or never told to be free are live as a dictionary says."""
    rng, live, expected = random.Random(seed), {}, []
    events: list[Event] = []
    stacks_of = {n: [(f"f{n}", "a.py", n)] for n in range(1, 6)}
    for step in range(2000):
        address = rng.randrange(80)
        if rng.random() < 0.5:
            stack = rng.randrange(1, 6)
            events.append(Event(2, address, rng.randrange(1, 99), stack, stacks_of[stack]))
            live[address] = events[-1]
        else:
            events.append(Event(ledger.FREE, address))
            live.pop(address, None)
        if step % 250 == 249:
            sums: dict[int, int] = defaultdict(int)
            for event in live.values():
                sums[event.stack_id] += event.size
            expected.append(dict(sums))
            size = mmap.PAGESIZE * len(expected)
            events.append(Event(ledger.MMAP, 1, size, 99, [("_resleak_mark", "m.py", 1)]))
    trie = Trie(names([]))
    nodes = {stack: trie.add(frames) for stack, frames in stacks_of.items()}
    total: dict[int, int] = defaultdict(int)
    played = Replay(trie, mmap.PAGESIZE).marks(events)
    for (_, take), want in zip(played, expected, strict=True):
        for node, amount, _ in take():
            total[node] += amount
        assert want == {stack: total[node] for stack, node in nodes.items() if total[node]}


def test_the_harness_is_no_part_of_a_stack() -> None:
    """Our own frames are dropped; what they alone allocate, and what has no stack, has a name."""
    package = Path(resleak.__file__).parent
    trie = Trie(names([package / "scenarios" / "arc" / "auth_cache.py"]))
    ours = ("drive", str(package / "child.py"), 10)
    step = ("step", str(package / "scenarios" / "arc" / "auth_cache.py"), 5)
    ends = [trie.add(stack) for stack in ([step, ours, ours], [ours], [])]
    columns, used = trie.columns(np.array(ends))
    assert list(columns["function"][used]) == ["step", HARNESS, NO_STACK]
    assert list(columns["parent"][used]) == [-1, -1, -1]
    assert list(columns["file"][used]) == ["resleak/scenarios/arc/auth_cache.py", "", ""]
    assert list(columns["studied"][used]) == [True, False, False]
