"""Memray captures become tables, and the tables name the line that leaks."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from helpers import tables

import resleak
from resleak.analysis import stacks
from resleak.captures import tables as stored_tables
from resleak.captures.decode import launch
from resleak.captures.manifest import Mark
from resleak.errors import StoreError

pytest.importorskip("memray")

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
def fixed():
    kept[:] = [json.loads(TEXT)]
TEXT = json.dumps("x" * (3000 - 49))
cache.update((key, bytes(10_000)) for key in range(100))
destination = memray.FileDestination(path, overwrite=True, compress_on_exit=compress)
with memray.Tracker(destination=destination, trace_python_allocators=True):
    mark(0)
    for step in range(1, warmup + steps + 1):
        (fixed if variant == "fixed" else leaky)()
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
    marks: list[Mark]

    def read(self, folder: Path, capture: Path | None = None) -> tables.Tables:
        folder.mkdir(exist_ok=True)
        launch.recording("memray", capture or self.path, folder, self.marks, [self.program])
        return tables.read(folder)


#: The tables, and the folder they were written to.
Read = tuple[tables.Tables, Path]


def make(folder: Path, variant: str, compress: bool = True, steps: int = STEPS) -> Made:
    program, capture = folder / "program.py", folder / f"{variant}-{compress}.bin"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(capture), variant]
    command += ["compress" if compress else "raw", str(WARMUP), str(steps), str(BLOCK)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout, result.stderr
    marks = [Mark(**mark) for mark in json.loads(result.stdout)]
    return Made(capture, program, marks)


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
def leaky_tables(leaky: Made, tmp_path_factory: pytest.TempPathFactory) -> Read:
    folder = tmp_path_factory.mktemp("tables")
    return leaky.read(folder), folder


def test_what_is_live_adds_up_to_the_heap_at_each_mark(leaky_tables: Read) -> None:
    """The changes of all stacks together are the live bytes that each mark reports."""
    folder = leaky_tables[1]
    live = stored_tables.read_table(folder / "live.parquet").to_pandas()
    marks = stored_tables.read_table(folder / "marks.parquet").to_pandas()
    summed = live.groupby("mark")["bytes"].sum().reindex(marks["mark"], fill_value=0).cumsum()
    assert summed.tolist() == marks["heap_bytes"].tolist()


def test_threads_and_allocators_have_names(leaky_tables: Read) -> None:
    """Each change tells the thread and the function of the allocator it came from."""
    live = stored_tables.read_table(leaky_tables[1] / "live.parquet").to_pandas()
    assert set(live["thread"]) == {"main"}
    assert {"pymalloc_malloc", "pymalloc_realloc"} <= set(live["allocator"])


def test_the_leak_comes_first_at_its_rate(leaky_tables: Read) -> None:
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


def test_replicates_sharpen_the_same_site(leaky_tables: Read) -> None:
    """Two captures of one variant give one row a site, with the mean of their rates."""
    one, two = (stacks.sites([leaky_tables[0]] * n) for n in (1, 2))
    assert len(one) == len(two)
    assert two["bytes_per_step"].iloc[0] == pytest.approx(one["bytes_per_step"].iloc[0])
    assert two.attrs["captures"] == 2


def test_a_fixed_program_has_no_site(tmp_path: Path) -> None:
    """Without the leak no line grows by 50 bytes a step."""
    found = stacks.sites([make(tmp_path, "fixed").read(tmp_path / "tables")])
    assert len(found)
    assert found["bytes_per_step"].max() < 50


def test_no_path_of_this_machine_is_stored(leaky: Made, leaky_tables: Read) -> None:
    """Files are named by their place; the name of the folder they were in is nowhere."""
    table, folder = leaky_tables
    assert not table.table("stacks")["file"].str.contains(r"^/|^\w:|/home/|/tmp/").any()
    secrets = [str(leaky.program.parent).encode(), str(Path.home()).encode() + b"/", b"/tmp/"]
    for name in ("stacks", "live", "marks"):
        content = (folder / f"{name}.parquet").read_bytes()
        assert not any(secret in content for secret in secrets)


def test_columns_carry_units(leaky_tables: Read) -> None:
    """The schema says that bytes are bytes and counts are blocks."""
    schema = stored_tables.read_table(leaky_tables[1] / "live.parquet").schema
    units = {f.name: f.metadata[b"unit"].decode() for f in schema if f.name in ("bytes", "count")}
    assert units == {"bytes": "B", "count": "blocks"}


def test_live_bytes_add_up_over_the_marks(leaky_tables: Read) -> None:
    """The sum of changes up to a mark is what was live there: 3000 bytes for each step so far."""
    table = leaky_tables[0]
    frame, live = table.table("stacks"), table.table("live")
    values = frame.index[frame["function"] == "raw_decode"]
    kept = live[live["node"].isin(values)].groupby("step")["bytes"].sum().cumsum()
    assert kept.loc[WARMUP + STEPS] == pytest.approx(3000 * (WARMUP + STEPS), rel=0.02)
    assert kept.loc[WARMUP] == pytest.approx(3000 * WARMUP, rel=0.02)


def test_a_killed_run_keeps_what_it_had(tmp_path: Path) -> None:
    """A run that was killed is read up to its end."""
    first = stacks.sites([make(tmp_path, "killed").read(tmp_path / "tables")]).iloc[0]
    assert (first["line"], round(first["bytes_per_step"], -2)) == (LEAK, 3000)


def test_a_recording_that_lacks_marks_is_refused(tmp_path: Path, leaky: Made) -> None:
    """Without the last mark a recording is read, as of a run that was killed; with fewer not."""
    later = [Mark(len(leaky.marks) + n, WARMUP + STEPS + n, "steady") for n in range(2)]
    marks = Made(leaky.path, leaky.program, leaky.marks + later[:1]).read(tmp_path).table("marks")
    assert len(marks) == len(leaky.marks)
    with pytest.raises(StoreError, match=r"is cut off after 19 of 21 marks; capture fewer steps"):
        Made(leaky.path, leaky.program, leaky.marks + later).read(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (
            b"a text file, and no more than that; it goes on for a while",
            "is not a file that memray wrote",
        ),
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
        launch.recording("memray", tmp_path / "memray.bin", tmp_path, [], [])
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_file_and_a_slow_read_are_errors(leaky: Made, tmp_path: Path) -> None:
    """A file that is not there, and a read that takes too long, give a StoreError each."""
    with pytest.raises(StoreError, match="is missing"):
        launch.recording("memray", tmp_path / "memray.bin", tmp_path, [], [])
    with pytest.raises(StoreError, match="within"):
        launch.recording("memray", leaky.path, tmp_path, leaky.marks, [], timeout_s=0.01)


def test_the_command_exits_with_two(tmp_path: Path) -> None:
    """Run by itself, the reader writes one line on the error stream and exits with 2."""
    (tmp_path / "memray.bin").touch()
    job = {"decoder": "memray", "capture": "memray.bin", "marks": [], "studied": []}
    job |= {"root": None, "source": False}
    result = subprocess.run(
        launch.COMMAND,
        cwd=tmp_path,
        input=f'{json.dumps(job)}\n"."\n',
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("compress", [True, False])
def test_damage_never_passes_for_a_whole_capture(tmp_path: Path, compress: bool) -> None:
    """A capture cut anywhere gives an error, or lacks its last mark; the caller goes on."""
    made = make(tmp_path, "leaky", compress, steps=20)
    whole = made.path.read_bytes()
    content = whole.rstrip(b"\0")
    cuts = [20, 200, *(int(len(content) * part) for part in (0.3, 0.6, 0.95))]
    results = outcomes(made, tmp_path, [whole, *(content[:cut] for cut in cuts)])
    assert results[0] == len(made.marks)
    assert results[1:4] == [None] * 3
    assert {*results[1:]} <= {None, len(made.marks) - 1}


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
    assert {*results} <= {None, len(made.marks) - 1, len(made.marks)}


def outcomes(made: Made, folder: Path, contents: list[bytes]) -> list[int | None]:
    """Return the marks that reading each content gave; None for an error that says so."""

    def outcome(numbered: tuple[int, bytes]) -> int | None:
        capture = folder / f"damaged-{numbered[0]}.bin"
        capture.write_bytes(numbered[1])
        try:
            return len(made.read(folder / f"tables-{numbered[0]}", capture).table("marks"))
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


def test_only_foreign_files_limit_processor_time(tmp_path: Path) -> None:
    """A small recording of ours may take long: brief allocations pack to next to nothing."""
    code = "import resource; from resleak.captures.decode import memray_file as one\n"
    code += "one.limit([], is_ours={}); print(resource.getrlimit(resource.RLIMIT_CPU)[0])"
    command = [sys.executable, "-c"]
    ours, foreign = (
        int(subprocess.run([*command, code.format(is_ours)], capture_output=True, text=True).stdout)
        for is_ours in (True, False)
    )
    assert (ours, foreign) == (resource.RLIM_INFINITY, 10)


def test_a_reader_at_its_limit_of_processor_time_says_so(
    leaky: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names processor time, for the file may be whole."""
    code = "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)"
    monkeypatch.setattr(launch, "COMMAND", [sys.executable, "-c", code])
    with pytest.raises(StoreError, match="took more processor time to read"):
        leaky.read(tmp_path / "tables")


def test_a_worker_that_has_ended_is_forgotten(
    leaky: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At exit only workers that still run are killed: an ended one's number may be another's."""
    leaky.read(tmp_path / "tables")
    monkeypatch.setattr(launch, "COMMAND", [sys.executable, "-c", "import time; time.sleep(60)"])
    launch.begin([leaky.path], {})
    killed: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(launch.os, "killpg", lambda pid, _: killed.append(pid))
        launch._end_all()
    (process,) = launch._begun.values()
    assert killed == [process.pid]
    launch._begun.clear()
    process.kill()
    process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="needs signals of a pipe")
def test_a_worker_ends_with_its_owner(leaky: Made, tmp_path: Path) -> None:
    """A kill of the process that waits for the tables ends the worker in the midst of its work."""
    (tmp_path / "slow.py").write_text("import time\nprint(flush=True)\ntime.sleep(600)\n")
    code = f"""
        from pathlib import Path
        from resleak.captures.decode import launch
        launch.begin([Path({str(leaky.path)!r})], {{"answer": "slow:answer"}})
        (worker,) = launch._begun.values()
        worker.stdout.readline()
        print(worker.pid, flush=True)
        input()
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    paths = os.pathsep.join([str(tmp_path), str(Path(resleak.__file__).parents[1])])
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    ) as owner:
        assert owner.stdout
        worker = psutil.Process(int(owner.stdout.readline()))
        assert worker.is_running()
        owner.kill()
    psutil.wait_procs([worker], timeout=60)
    assert not worker.is_running()
