"""What comes in from other recorders, and what goes out to other tools."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import captures, traces
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import resleak
from resleak.captures import export
from resleak.errors import ShareError, StoreError

MIB = 1024**2


def mprof(per_s: float) -> str:
    """Return a log of mprof: a process that grows by so many MiB a second, and a level child."""
    lines = ["CMDLINE python work.py"]
    for i in range(120):
        lines.append(f"MEM {50 + per_s * i / 10:.6f} {1e9 + i / 10:.4f}")
        lines.append(f"CHLD 0 20.000000 {1e9 + i / 10:.4f}")
    return "\n".join([*lines, "FUNC work.step 50.0 1.0 60.0 2.0 0", ""])


def psrecord(per_s: float) -> str:
    head = "# Elapsed time   CPU (%)     Real (MB)   Virtual (MB)\n"
    rows = (f"{i / 2:12.3f} {3:12.3f} {50 + per_s * i / 2:12.3f} {70:12.3f}\n" for i in range(120))
    return head + "".join(rows)


def psrecord_csv(per_s: float) -> str:
    rows = (f"{i / 2},3.0,{50 + per_s * i / 2},70.0\n" for i in range(120))
    return "elapsed_time,cpu,mem_real,mem_virtual\n" + "".join(rows)


@pytest.mark.parametrize("log", [mprof, psrecord, psrecord_csv])
@pytest.mark.parametrize(("per_s", "verdict"), [(2.0, "leak"), (0.0, "flat")])
def test_logs_of_other_recorders_are_judged(tmp_path, log, per_s, verdict):
    """Resident memory of a log leaks at the rate that was written into it, or is flat."""
    (tmp_path / "log.dat").write_text(log(per_s))
    judged = resleak.judge(resleak.load(tmp_path / "log.dat"))
    rss = judged.variants["process"].gauges[0]
    assert (judged.per, rss.gauge, rss.verdict) == ("s", "rss", verdict)
    assert rss.per_step == pytest.approx(per_s * MIB, rel=0.01)


def test_children_of_a_log_stand_apart(tmp_path):
    """A child that mprof recorded has a curve of its own: it is flat beside a leak."""
    (tmp_path / "mprofile_1.dat").write_text(mprof(2.0))
    judged = resleak.judge(resleak.load(tmp_path / "mprofile_1.dat"))
    verdicts = {name: one.verdict for name, one in judged.variants.items()}
    assert verdicts == {"process": "leak", "child-1": "flat"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x7fELF\x00\xff\xfe", "is not a log of mprof or psrecord"),
        (b"", "is not a log of mprof or psrecord"),
        (b"hello\n", "is not a log of mprof or psrecord"),
        (b"CMDLINE python x.py\n", "has no readings: mprof ended before the first one"),
        (b"MEM 1.0 1.0\nMEM 1.0\n", "line 2 of log.dat is damaged"),
        (b"MEM 1.0 1.0\nMEM one two\n", "line 2 of log.dat is damaged"),
        (b"# Elapsed time   CPU (%)\n 0.1 2.0\n", "line 2 of log.dat is damaged"),
    ],
)
def test_what_is_damaged_or_foreign_is_one_line(tmp_path, content, told):
    """A file of another kind, an empty one and one that was cut off are each told in one line."""
    (tmp_path / "log.dat").write_bytes(content)
    with pytest.raises(StoreError, match=told) as error:
        resleak.load(tmp_path / "log.dat")
    assert "\n" not in str(error.value)


@pytest.fixture
def stored(tmp_path: Path) -> resleak.captures.frames.Captures:  # type: ignore[name-defined]
    made = traces.trace(traces.ramp(1.0), gauge="fds", runs=2)
    captures.write(tmp_path / "captures", captures.scenario(), "leaky", made)
    return resleak.load(tmp_path / "captures")


def test_parquet_has_every_reading_and_its_unit(stored, tmp_path):
    """The table is the trace of all runs, and a column's unit is in the metadata of its field."""
    table = pq.read_table(export.write(stored, "parquet", tmp_path / "out.parquet"))
    expected = resleak.traces(stored)
    assert table.to_pandas()["fds"].equals(expected["fds"])
    assert table.schema.field("fds").metadata[b"unit"] == b"descriptors"


def test_csv_has_units_in_its_head(stored, tmp_path):
    """A spreadsheet gets the same rows, and columns that say what they count."""
    frame = pd.read_csv(export.write(stored, "csv", tmp_path / "out.csv"))
    assert frame["fds [descriptors]"].to_list() == resleak.traces(stored)["fds"].to_list()


def test_prometheus_reads_what_is_written(stored, tmp_path):
    """The parser of OpenMetrics finds a gauge with a label for each run and a time a reading."""
    text = export.write(stored, "prometheus", tmp_path / "out.prom").read_text()
    families = {one.name: one for one in text_string_to_metric_families(text)}
    samples = families["resleak_fds"].samples
    assert families["resleak_fds"].type == "gauge"
    assert {sample.labels["run"] for sample in samples} == {"1", "2"}
    last = [s for s in samples if s.labels["run"] == "1"][-1]
    assert (last.value, float(last.timestamp)) == (400.0, 3.0)


def test_what_cannot_be_written_is_told(stored, tmp_path):
    """A folder that is not there is told by the file's name."""
    with pytest.raises(ShareError, match=r"cannot write .*out\.csv: .*none"):
        export.write(stored, "csv", tmp_path / "none" / "out.csv")


def test_the_command_line_knows_them_all(stored, tmp_path, project):
    """`export --format csv` writes beside the others, and an unknown format names all six."""
    command = [sys.executable, "-m", "resleak", "export", "captures", "--format"]
    env = {"PYTHONPATH": str(project)}
    told = [
        subprocess.run(
            [*command, kind], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        for kind in ("csv", "xls")
    ]
    assert (told[0].returncode, told[0].stdout) == (0, "made-up.csv\n")
    assert told[1].returncode == 2
    assert (
        told[1]
        .stderr.strip()
        .endswith("choose speedscope, collapsed, pprof, parquet, csv, prometheus")
    )


def test_a_short_run_beside_a_long_one_is_no_error(tmp_path: Path) -> None:
    """Both start to grow in their second half: a verdict of leak would be too early."""
    short, long = (np.maximum(0, np.arange(seconds) - seconds / 2) for seconds in (400, 8000))
    log = tmp_path / "log.dat"
    with log.open("w", encoding="utf-8") as file:
        for rise in (short, 0.05 * long):
            file.write("CMDLINE python app.py\n")
            file.writelines(f"MEM {100 + mib:.3f} {1e9 + at}\n" for at, mib in enumerate(rise))
    verdict = resleak.judge(resleak.load(log)).variants["process"].gauge("rss")
    assert verdict is not None
    assert verdict.verdict == "inconclusive"


def test_each_run_in_a_log_of_mprof_is_a_replicate(tmp_path: Path) -> None:
    """A log with three commands has three runs, which are judged as replicates."""
    runs = [
        "".join(
            f"MEM {50 + run + 0.2 * second:.4f} {1000 * run + second}.0\n" for second in range(90)
        )
        for run in range(3)
    ]
    log = tmp_path / "log.dat"
    log.write_text("".join(f"CMDLINE python -c 'import app\n\napp.main()'\n{run}" for run in runs))
    captures = resleak.load(log)
    assert [(one.variant, one.run, len(one.trace)) for one in captures] == [
        ("process", number, 90) for number in (1, 2, 3)
    ]
    verdict = resleak.judge(captures).variants["process"].gauge("rss")
    assert verdict is not None
    assert (verdict.verdict, verdict.runs) == ("leak", 3)
    assert verdict.per_step == pytest.approx(0.2 * 1024**2, rel=0.01)
