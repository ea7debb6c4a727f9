"""When a limit will be reached, on made-up traces and on made-up control groups."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import traces

from resleak.analysis import growth
from resleak.analysis.forecast import Ceiling, forecast, forecasts
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows, plain
from resleak.experiments.watch import own_limits, shared_limits
from resleak.harness.process_gauges import Outside
from resleak.workload.gauges import BUILTIN

NOFILE = Ceiling("RLIMIT_NOFILE", ("fds",), 1024, 424, "descriptors")
MEMORY = Ceiling("memory.max", ("uss", "rss"), 2e9, 1e9, "B")


def watched(curve: traces.Curve) -> Rows[GaugeVerdict]:
    """Return the verdicts on a process's descriptors that was read once a second."""
    trace = traces.trace(curve, gauge="fds", runs=1)
    trace = trace[trace["moment"] == "step"].assign(moment="reading")
    trace.attrs["per"] = "s"
    return growth.judge(trace, BUILTIN)


def told(gauges: Rows[GaugeVerdict]) -> list[float]:
    return [one.expected_s for one in forecasts(gauges, [MEMORY, NOFILE])]


def test_a_steady_leak_reaches_its_limit_when_it_must() -> None:
    """Two descriptors a second use up 600 in 300 seconds, and no other limit."""
    assert told(watched(traces.ramp(2.0))) == [300.0]


@pytest.mark.parametrize("curve", [traces.flat, traces.plateau(200, 80), traces.filling(200, 40)])
def test_what_does_not_leak_reaches_nothing(curve: traces.Curve) -> None:
    """There is no forecast for what is flat, bounded or still fades."""
    assert told(watched(curve)) == []


def test_the_interval_comes_from_both_ends_of_the_rate() -> None:
    """The soonest moment is that of the highest rate, the latest that of the lowest."""
    one = forecast(NOFILE, "fds", 2.0, 1.0, 4.0)
    assert (one.soonest_s, one.expected_s, one.latest_s) == (150.0, 300.0, 600.0)


def test_a_rate_that_may_be_nothing_may_never_get_there() -> None:
    """Where the interval reaches zero, the latest moment is never: infinity, and None in JSON."""
    one = forecast(NOFILE, "fds", 2.0, -1.0, 4.0)
    assert one.latest_s == math.inf
    assert plain(one)["latest_s"] is None
    assert str(one).endswith("in 5 min [2.5 min, never]")


def test_a_limit_that_is_passed_is_reached_now() -> None:
    """There is no negative time left."""
    over = Ceiling("memory.max", ("rss",), 1e9, 2e9, "B")
    assert forecast(over, "rss", 1.0, 1.0, 1.0).expected_s == 0.0


def test_each_limit_takes_the_best_evidence_for_it() -> None:
    """Of two gauges that use one limit up, the first one that leaks is told, once."""
    rows = [
        GaugeVerdict(gauge=name, verdict="leak", per_step=1e6, low=1e6, high=1e6)
        for name in ("rss", "uss")
    ]
    assert [(f.gauge, f.expected_s) for f in forecasts(rows, [MEMORY])] == [("uss", 1000.0)]


def test_the_limit_of_descriptors_is_the_process_own() -> None:
    """A process that lowered its limit has that limit, and what it holds counts as used."""
    code = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (123, 456)); print(1)"
    code += "; input()"
    with subprocess.Popen(
        [sys.executable, "-uc", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found, maps = own_limits(Outside(process.pid))
        process.communicate(b"\n")
    assert (found.name, found.limit, found.used) == ("RLIMIT_NOFILE", 123, 3)
    assert maps.name == "max_map_count"
    assert 10 < maps.used < maps.limit


def write(files: dict[str, str], root: Path) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def me() -> Outside:
    import os

    return Outside(os.getpid())


def test_control_groups_of_version_2(tmp_path: Path, me: Outside) -> None:
    """Every group above the process counts, less the pages of files that the system takes back."""
    slice_, service = "sys/fs/cgroup/app.slice", "sys/fs/cgroup/app.slice/web.service"
    root = write(
        {
            f"proc/{me.pid}/cgroup": "0::/app.slice/web.service\n",
            f"{service}/memory.max": "1000\n",
            f"{service}/memory.current": "700\n",
            f"{service}/memory.stat": "anon 300\ninactive_file 200\n",
            f"{service}/pids.max": "max\n",
            f"{service}/pids.current": "7\n",
            f"{slice_}/memory.max": "max\n",
            f"{slice_}/memory.current": "900\n",
            f"{slice_}/pids.max": "50\n",
            f"{slice_}/pids.current": "10\n",
        },
        tmp_path,
    )
    found = {(c.gauges, c.limit, c.used) for c in shared_limits(me, root)[:-1]}
    assert found == {(("uss", "rss"), 1000, 500), (("threads", "zombies", "children"), 50, 10)}


def test_limits_of_the_whole_machine(tmp_path: Path, me: Outside) -> None:
    """Numbers of processes, threads and open files are limited for all processes together."""
    root = write(
        {
            "proc/sys/kernel/threads-max": "900\n", "proc/sys/kernel/pid_max": "300\n",
            "proc/sys/fs/file-nr": "40\t0\t5000\n", "proc/loadavg": "0.1 0.2 0.3 2/120 4711\n",
        },
        tmp_path,
    )  # fmt: skip
    found = {c.name: (c.gauges[0], c.limit, c.used) for c in shared_limits(me, root)[:-1]}
    assert found == {
        "threads-max": ("threads", 900, 120), "pid_max": ("threads", 300, 120),
        "file-max": ("fds", 5000, 40),
    }  # fmt: skip


def test_control_groups_of_version_1(tmp_path: Path, me: Outside) -> None:
    """The memory controller has a tree of its own; its largest number means no limit."""
    root = write(
        {
            f"proc/{me.pid}/cgroup": "4:memory:/box\n3:cpu,cpuacct:/\n",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "1000\n",
            "sys/fs/cgroup/memory/box/memory.usage_in_bytes": "600\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "600\n",
        },
        tmp_path,
    )
    (found,) = shared_limits(me, root)[:-1]
    assert (found.limit, found.used) == (1000, 600)


def test_without_limits_there_is_the_machine(tmp_path: Path, me: Outside) -> None:
    """Where no group is to be seen, memory still ends with the machine's."""
    (found,) = shared_limits(me, tmp_path)
    assert 0 < found.used < found.limit
