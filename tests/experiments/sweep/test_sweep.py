"""A sweep completes whatever is killed meanwhile, and runs no question twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from helpers import sweeps

from resleak.captures.store import index
from resleak.captures.store.store import Store
from resleak.errors import CaptureError, StoreError
from resleak.experiments.sweep import plan as plans
from resleak.experiments.sweep import sweep as runner
from resleak.experiments.sweep import task
from resleak.experiments.sweep.sweep import SweepOptions, status, sweep

QUICK = 'workloads = ["quick.py"]\nsteps = 1\nrounds = 1\ncanary = false\nreplicates = {}\n'
KILLED = "import os\ndef step(i): os.kill(os.getpid(), 9)\n"
KILLS_ITS_WORKER = """
import os, psutil
def step(i):
    os.kill(psutil.Process().parents()[2].pid, 9)  # above two guardians is the worker
"""


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path, monkeypatch):
    """Keep everything that a test starts below its own folder, where it can be told."""
    (tmp_path / "t").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    left = [p for p in psutil.process_iter(["cmdline"]) if _is_of(p, str(tmp_path))]
    assert not left


def _is_of(process: psutil.Process, folder: str) -> bool:
    return any(folder in part for part in process.info["cmdline"] or ())


def keys(path) -> set[str]:
    return {run.key for run in plans.expand(plans.read(path), path.parent).rounds(0)}


def test_a_sweep_finds_the_leak_and_resumes(tmp_path):
    """Cells are judged, the state is read from the store alone, and nothing runs twice."""
    text = 'workloads = ["leaks.py", "quiet.py"]\nsteps = 60\nreplicates = 2\nrounds = 1\n'
    path = sweeps.plan(tmp_path, text, leaks=sweeps.LEAK, quiet=sweeps.STEP)
    url, seen = str(tmp_path / "store"), []
    options = SweepOptions(progress=lambda *told: seen.append(told))
    first = sweep(path, url, options)
    assert {one.scenario: one.verdict for one in first.cells}["leaks"] == "leak"
    assert first.outcomes["made"] == len(keys(path)) == 4
    assert first.is_complete
    assert not first.is_clean
    assert [told[1:] for told in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for name in ("leaks.py", "quiet.py"):
        (tmp_path / name).unlink()
    assert status(path, url).to_dict()["cells"] == first.to_dict()["cells"]
    sweeps.plan(tmp_path, text, leaks=sweeps.LEAK, quiet=sweeps.STEP)
    assert sweep(path, url).outcomes == Counter(exists=4)
    rows = index.query(Store.opened(url), "SELECT count(*) AS n FROM runs WHERE canary <> ''")
    assert rows.to_pylist() == [{"n": 1}]


def test_two_sweeps_that_overlap_share_their_runs(tmp_path):
    """Of two sweeps of one plan at a time each run is stored once, and both are complete."""
    path = sweeps.plan(tmp_path, QUICK.format(6), quick=sweeps.STEP)
    url = str(tmp_path / "store")
    Store.made(url)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: sweep(path, url), range(2)))
    assert sum(one.outcomes["made"] for one in results) == 6
    assert all(one.is_complete and not one.problems for one in results)
    assert Store.opened(url).keys() == keys(path)


@pytest.mark.parametrize(("steps", "made"), [(1, 4), (60, 2)])
def test_only_undecided_cells_get_more_replicates(tmp_path, steps, made):
    """A cell that is too short to be decided gets a second round; one that is flat gets none."""
    text = f'workloads = ["quick.py"]\nsteps = {steps}\nreplicates = 2\nrounds = 2\n'
    path = sweeps.plan(tmp_path, text + "canary = false\n", quick=sweeps.STEP)
    result = sweep(path, str(tmp_path / "store"))
    assert [one.verdict for one in result.cells] == ["flat" if made == 2 else "inconclusive"]
    assert result.outcomes["made"] == made


def test_a_noisy_host_is_named_and_goes_on_if_it_is_the_last(tmp_path, monkeypatch):
    """Where a process that does nothing seems to leak, one line says so, and the runs are there."""
    path = sweeps.plan(tmp_path, QUICK.format(2), quick=sweeps.STEP)
    path.write_text(path.read_text().replace("canary = false", "canary = true"))
    leaks = tmp_path / "do_nothing.py"
    leaks.write_text(sweeps.LEAK)
    monkeypatch.setattr(task, "_CANARY", str(leaks))
    monkeypatch.setattr(task, "_NOISE", {})
    result = sweep(path, str(tmp_path / "store"))
    assert result.is_complete
    assert any("of a process that does nothing grew on host" in one for one in result.problems)


def test_a_canary_without_a_place_is_an_outcome(tmp_path, monkeypatch):
    """A cache that cannot be written fails a run by its machine, and raises nothing."""
    path = sweeps.plan(tmp_path, 'scenarios = ["control/do_nothing"]')
    (run, *_) = plans.expand(plans.read(path), tmp_path).rounds(0)
    url = Store.made(str(tmp_path / "store")).url
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    outcome = task.perform(run, url, canary=True)
    assert (outcome.kind, "file" in outcome.message) == ("infrastructure", True)


def test_a_budget_ends_a_sweep_that_can_go_on(tmp_path):
    """A sweep without time begins nothing, and is completed later."""
    path = sweeps.plan(tmp_path, QUICK.format(2), quick=sweeps.STEP)
    url = str(tmp_path / "store")
    result = sweep(path, url, SweepOptions(budget_s=0))
    assert [one.verdict for one in result.cells] == ["not run"]
    assert sweep(path, url).is_complete


def test_what_raises_is_a_result(tmp_path):
    """A workload that fails is stored with its error, once, and not run again."""
    source = "def step(i): raise ValueError('no good')\n"
    path = sweeps.plan(tmp_path, QUICK.format(1), quick=source)
    url = str(tmp_path / "store")
    (cell,) = sweep(path, url).cells
    assert (cell.verdict, cell.runs) == ("failed", 1)
    assert "ValueError: no good" in cell.sentence
    assert sweep(path, url).outcomes == Counter(exists=1)


def test_a_process_killed_three_times_is_a_result(tmp_path):
    """A measured process that is killed is run three times; then it is stored as killed."""
    path = sweeps.plan(tmp_path, QUICK.format(1), quick=KILLED)
    result = sweep(path, str(tmp_path / "store"))
    assert result.outcomes["made"] == 1
    (row,) = index.query(
        Store.opened(str(tmp_path / "store")), "SELECT status, code FROM runs"
    ).to_pylist()
    assert row == {"status": "crashed", "code": -9}


def test_a_package_that_does_not_install_costs_its_cells_only(tmp_path):
    """The other cells of a plan are measured, and one line names what cannot be installed."""
    text = QUICK.format(1) + 'with = ["absent @ file:///nowhere/absent-1.tar.gz", ""]\n'
    path = sweeps.plan(tmp_path, text, quick=sweeps.STEP)
    cells = {one.label.partition(" ")[0]: one for one in sweep(path, str(tmp_path / "s")).cells}
    assert cells["absent"].verdict == "cannot run"
    assert "cannot install absent" in cells["absent"].sentence
    assert cells["as"].runs == 1


def test_a_store_in_memory_is_no_store_for_a_cluster(tmp_path):
    """Workers do not see this process' memory, and one line says so."""
    path = sweeps.plan(tmp_path, QUICK.format(1), quick=sweeps.STEP)
    with pytest.raises(StoreError, match="cannot see memory://x"):
        sweep(path, "memory://x", SweepOptions(cluster="local"))


def test_a_scheduler_that_does_not_answer_is_one_line(tmp_path, monkeypatch):
    """A wrong address is named, with the form of a right one."""
    monkeypatch.setattr(runner.engines, "_CONNECT_S", 0.5)
    path = sweeps.plan(tmp_path, QUICK.format(1), quick=sweeps.STEP)
    with pytest.raises(CaptureError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9"):
        sweep(path, str(tmp_path / "s"), SweepOptions(cluster="tcp://127.0.0.1:9"))


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Start an object store, a scheduler and two workers; yield cluster and URL; end them."""
    from distributed import LocalCluster

    with (
        sweeps.s3(monkeypatch) as url,
        LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit=0, resources={"slot": 1},
            dashboard_address="127.0.0.1:0", local_directory=str(tmp_path / "dask"),
        ) as workers,
    ):  # fmt: skip
        yield workers, url


@pytest.mark.parametrize(
    "runs", [8, pytest.param(200, marks=[pytest.mark.nightly, pytest.mark.slow])]
)
def test_a_killed_worker_costs_a_rerun(tmp_path, cluster, runs):
    """A sweep that is ended early goes on, and with a worker killed half-way all runs are there."""
    workers, url = cluster
    path = sweeps.plan(tmp_path, QUICK.format(runs // 2), quick=sweeps.STEP)
    path.write_text(path.read_text() + "seeds = [0, 1000]\n")
    ended = []

    def end(_label: str, done: int, _total: int) -> None:
        if done >= runs // 4:
            ended.append(done)
            raise KeyboardInterrupt

    def kill(_label: str, done: int, _total: int) -> None:
        if done == runs // 2:
            os.kill(next(iter(workers.workers.values())).pid, signal.SIGKILL)

    address = workers.scheduler_address
    with pytest.raises(KeyboardInterrupt):
        sweep(path, url, SweepOptions(cluster=address, progress=end))
    result = sweep(path, url, SweepOptions(cluster=address, progress=kill))
    assert result.outcomes["exists"] >= runs // 4
    assert result.outcomes.keys() == {"made", "exists"}
    assert result.outcomes.total() == runs
    assert Store.opened(url).keys() == keys(path)
    assert result.is_complete
    alone = sweep(path, str(tmp_path / "alone"))
    assert [one.verdict for one in result.cells] == [one.verdict for one in alone.cells]


@pytest.mark.nightly
def test_a_run_that_kills_its_worker_three_times_is_a_result(tmp_path):
    """A run that takes its worker along is given up after three workers, and stored."""
    path = sweeps.plan(tmp_path, QUICK.format(1), quick=KILLS_ITS_WORKER)
    result = sweep(path, str(tmp_path / "s"), SweepOptions(cluster="local", workers=1))
    (cell,) = result.cells
    assert (cell.verdict, cell.runs) == ("failed", 1)
    assert "it was killed 3 times" in cell.sentence


CLUSTER = """
import time
from distributed import LocalCluster
if __name__ == "__main__":
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=1, memory_limit=0, resources={"slot": 1},
        dashboard_address="127.0.0.1:0",
    )
    print(cluster.scheduler_address, flush=True)
    time.sleep(600)
"""


@pytest.mark.nightly
def test_a_scheduler_that_dies_costs_what_ran_at_that_time(tmp_path):
    """A sweep without its scheduler ends with one line; what was stored is not run again."""
    path = sweeps.plan(tmp_path, QUICK.format(6), quick=sweeps.STEP)
    (tmp_path / "cluster.py").write_text(CLUSTER)
    url = str(tmp_path / "store")
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "cluster.py")], stdout=subprocess.PIPE, text=True
    ) as scheduler:
        address = scheduler.stdout.readline().strip()

        def kill(_label: str, done: int, _total: int) -> None:
            if done == 2:
                scheduler.kill()

        with pytest.raises(CaptureError, match="the scheduler is gone; what was stored stays"):
            sweep(path, url, SweepOptions(cluster=address, progress=kill))
    result = sweep(path, url)
    assert result.outcomes["exists"] >= 2
    assert result.is_complete
