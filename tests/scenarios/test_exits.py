"""Every scenario that hangs or stalls names the line that does, as its file marks it."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import ends, stored

from resleak.analysis.inspection import Culprits, inspected
from resleak.captures import load
from resleak.captures.frames import Captures
from resleak.harness.measurement import measure
from resleak.harness.plan import CaptureOptions, Plan, jobs, plan
from resleak.workload import catalog
from resleak.workload.verdict_words import BROKEN, HANGS

#: What a declaration says of time: how long a step, the loop's lag or the end may take.
_TIMES = {"run", "exit_s", "cleanup_s", "lag_s", "step_s"}
#: Stalls that their files count in units of their own.
_COUNTED = [
    ("arc/health_check", "leaky_zero_interval"),
    ("arc/pool_deadlock", "leaky_callers_give_up"),
    ("arc/wal_blocking", "leaky"),
    ("embedder/worker_keeps_process_alive", "proposed_forced_exit"),
]
CASES = _COUNTED + [
    (name, variant.name)
    for name in sorted(catalog.paths())
    for variant in stored.scenario(name).variants.values()
    if _TIMES & set(variant.expect) or HANGS in variant.expect.values()
]


def guilty_lines(file: Path) -> set[str]:
    """Return the lines that a file marks as those that hang or stall, as ``file:line``."""
    lines = file.read_text(encoding="utf-8").splitlines()
    marked = [number for number, line in enumerate(lines, 1) if line.endswith("# stalls")]
    return {f"{file.name}:{number}" for number in marked}


#: Where the disk is waited for, so often that a quick one is seen to be waited for, too.
_STEPS = {"arc/wal_blocking": 900}


def short(name: str, variant: str, out: Path) -> Plan:
    steps = _STEPS.get(name, min(40, stored.scenario(name).steps))
    return plan(name, CaptureOptions(variants=[variant], runs=1, seed=1, steps=steps, out=out))


def inspect(of: Plan) -> Captures:
    """Run a variant under the inspector, and return its capture."""
    (job,) = (job for job in jobs(of) if job.instrument == "forensics")
    return load.load(measure(job, lambda *_: None, threading.Event()))


def test_there_are_exits_and_stalls() -> None:
    """The catalogue has a dozen variants that hang, stall, or end late or by force."""
    assert len(CASES) >= 12


@pytest.mark.parametrize(
    ("name", "variant"), [pytest.param(*case, marks=stored.marks(case[0])) for case in CASES]
)
def test_the_guilty_line_is_named(name: str, variant: str, tmp_path: Path) -> None:
    """The sentence about a variant that hangs or stalls has a line that its file marks."""
    expect = stored.scenario(name).variants[variant].expect
    symptoms = {gauge: {w.strip() for w in words.split(",")} for gauge, words in expect.items()}
    captures = inspect(short(name, variant, tmp_path))
    sentences = " ".join(inspected(captures).sentences(symptoms))
    lines = set(re.findall(r"\w+\.py:\d+", sentences))
    assert guilty_lines(catalog.locate(name)) & lines, sentences or "nothing was said"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Culprits]]:
    """Inspect one small program for each way not to end, several at a time."""
    root = tmp_path_factory.mktemp("ends")

    def end(name: str) -> tuple[Path, Culprits]:
        file = root / f"{name.replace(' ', '_')}.py"
        file.write_text(ends.source(name))
        options = CaptureOptions(runs=1, seed=1, out=root / "captures")
        return file, inspected(inspect(plan(str(file), options)))

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(ends.ENDS, pool.map(end, ends.ENDS), strict=True))


@pytest.mark.parametrize("name", ends.ENDS)
def test_every_way_not_to_end_names_its_line(
    ended: dict[str, tuple[Path, Culprits]], name: str
) -> None:
    """Threads, executors, tasks, processes, callbacks, finalizers, locks: the line is named."""
    file, culprits = ended[name]
    said = " ".join(culprits.sentences({"run": {HANGS}, "rows_lost": {BROKEN}}))
    assert guilty_lines(file) & set(re.findall(r"\w+\.py:\d+", said)), said or "nothing was said"


def test_where_it_was_made_is_known(ended: dict[str, tuple[Path, Culprits]]) -> None:
    """The thread that keeps the process alive has the line that started it, and is no daemon."""
    file, culprits = ended["thread"]
    (row,) = culprits.exit[culprits.exit["holds"]].to_dict(orient="records")
    started = next(
        n for n, line in enumerate(file.read_text().splitlines(), 1) if ".start()" in line
    )
    assert (row["what"], row["name"], row["daemon"]) == ("thread", "worker", "no")
    assert row["made_at"] == f"{file.name}:{started} close"


def test_what_was_never_flushed_is_counted(ended: dict[str, tuple[Path, Culprits]]) -> None:
    """Ten bytes that a forced end cut off are told by the file's name, and not what they were."""
    _file, culprits = ended["by force"]
    assert culprits.ending["by"] == "force"
    assert culprits.lost.to_dict(orient="records") == [
        {"kind": "file", "name": "rows.csv", "amount": 10, "unit": "B"}
    ]
