"""Turn the gauges that a run recorded into its trace."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from resleak.captures import raw, source_paths, tables, untrusted
from resleak.captures.manifest import Mark, Phase
from resleak.captures.raw import ProcessOutcome
from resleak.workload import gauges
from resleak.workload.gauges import Gauge
from resleak.workload.scenario import check_name

Columns = dict[str, np.ndarray]
_INDEX_UNITS = {"t_s": "s", "step": "steps", "block": "blocks"}
#: Lines of standard error that count as one, fewest of them, most kinds, and most characters.
_NUMBER, _AGAIN, _MOST_LINES, _LINE = re.compile(r"\d+"), 10, 3, 200
#: Above the time, the step, the block, the phase and the moment of any row.
_BOUNDS = np.array([1e9, 2**31, 2**31, len(raw.PHASES), len(raw.MOMENTS)])
_STACK = re.compile(r'File "(?P<file>[^"]+)"')


def trace(
    folder: Path, outcome: ProcessOutcome, own: list[Gauge]
) -> tuple[Columns, dict[str, str]]:
    """Return columns in order of time, NaN where a gauge was not read, and units."""
    names, rows = inside_rows(folder)
    samples = [sample for sample in outcome.samples if sample["phase"] > 0]
    time, step, block, phase = (
        np.concatenate([rows[:, column], [sample[key] for sample in samples]])
        for column, key in enumerate(("t_s", "step", "block", "phase"))
    )
    moments = [raw.MOMENTS[int(m)] for m in rows[:, 4]] + ["sample"] * len(samples)
    columns = {
        "t_s": time,
        "step": step.astype(np.int32),
        "block": block.astype(np.int32),
        "phase": np.array([raw.PHASES[int(number)] for number in phase], dtype=object),
        "moment": np.array(moments, dtype=object),
    }
    readings = [*outcome.end_of_block.values(), *outcome.samples]
    outside_names = [name for reading in readings for name in reading if name not in columns]
    quiet = np.flatnonzero(rows[:, 4] == raw.MOMENTS.index("after_collect"))
    for name in dict.fromkeys([*names, *outside_names]):
        inside = np.full(len(rows), np.nan)
        if name in names:
            inside = rows[:, raw.INDEX + names.index(name)].copy()
        for row in quiet[np.isnan(inside[quiet])]:  # read from outside, while the process waits
            inside[row] = outcome.end_of_block.get(int(rows[row, 2]), {}).get(name, np.nan)
        outside = np.array([sample.get(name, np.nan) for sample in samples], dtype=float)
        columns[name] = np.concatenate([inside, outside])
    order = np.argsort(columns["t_s"], kind="stable")
    all_gauges = (*gauges.BUILTIN.values(), *gauges.MEASURES.values(), *own)
    units = _INDEX_UNITS | {gauge.name: gauge.unit for gauge in all_gauges} | gauges.CONTEXT
    return {name: values[order] for name, values in columns.items()}, units


def inside_rows(folder: Path) -> tuple[list[str], np.ndarray]:
    """Return the gauges' names and the rows written so far, shape (rows, 5 + gauges)."""
    columns, data = (untrusted.written(folder / name) for name in ("columns.json", "trace.raw"))
    try:
        names = json.loads(columns or b"")
    except ValueError:
        data = None
    if data is None:  # it ended before the first row
        return [], np.empty((0, raw.INDEX))
    with untrusted.decoding("trace.raw"):
        numbers = np.frombuffer(data, count=len(data) // 8)
        for name in names:
            check_name("gauge", name)
        width, count = raw.INDEX + len(names), int(numbers[0])
        rows = numbers[raw.HEADER :][: count * width].reshape(count, width).copy()
        index = rows[:, : raw.INDEX]
        if count < 0 or not ((index >= 0) & (index < _BOUNDS)).all():  # NaN is neither
            raise untrusted.damaged("trace.raw")
        rows[np.isinf(rows)] = np.nan
    return [*names], rows


def own_gauges(folder: Path, declared: list[dict[str, Any]]) -> list[Gauge]:
    """Return the gauges of the scenario's own: declared ones, and those found in its process."""
    try:
        found = json.loads(untrusted.written(folder / "own.json") or b"")
    except ValueError:
        found = []
    with untrusted.decoding("own.json"):
        own: list[Gauge] = untrusted.build(list[Gauge], [*declared, *found])
    return own


def last_own(folder: Path, own: list[str]) -> dict[str, float]:
    """Return the last reading of each of the scenario's own gauges."""
    names, rows = inside_rows(folder)
    if not len(rows):
        return {}
    return {n: float(rows[-1, raw.INDEX + names.index(n)]) for n in own if n in names}


def phases(outcome: ProcessOutcome) -> tuple[Phase, ...]:
    """Return the phases with their start and end in seconds."""
    ends = [*(start for _, start in outcome.phases), outcome.ended_s][1:]
    return tuple(
        Phase(name, round(start, 4), round(end, 4))
        for (name, start), end in zip(outcome.phases, ends, strict=True)
    )


def marks(outcome: ProcessOutcome) -> tuple[Mark, ...]:
    """Return the marks in the allocation stream: one at the quiet end of each block."""
    return tuple(
        Mark(
            block, int(at["step"]), raw.PHASES[int(at["phase"])], round(at["t_s"], 4), at.get("rss")
        )
        for block, at in sorted(outcome.end_of_block.items())
    )


def stacks_of(text: str, name: Any) -> list[str]:
    """Split what the process wrote about its threads, one text a thread, files named by place."""
    named = _STACK.sub(lambda match: f'File "{name(match["file"])}"', text)
    blocks = re.split(r"\n(?=(?:Current thread|Thread) 0x)", named.strip())
    return [block.strip() for block in blocks if block.strip()]


def repeated(text: str, project: Path | None) -> tuple[str, ...]:
    """Return the lines that were written again and again, numbers apart, with their counts."""
    lines = [line for raw_line in text.splitlines() if (line := raw_line.strip())]
    counts = Counter(_NUMBER.sub("0", line) for line in lines)
    first = {_NUMBER.sub("0", line): line for line in reversed(lines)}
    return tuple(
        f"{count:,} times: {source_paths.redact(first[line], project)[:_LINE]}"
        for line, count in counts.most_common(_MOST_LINES)
        if count >= _AGAIN
    )


def write_trace(folder: Path, outcome: ProcessOutcome, own: list[Gauge], target: Path) -> set[str]:
    """Write ``trace.parquet`` into a folder; return the names of the gauges that were read."""
    columns, units = trace(folder, outcome, own)
    tables.write_table(target / "trace.parquet", columns, units)
    index = {"t_s", "step", "block", "phase", "moment"}
    return {n for n, v in columns.items() if n not in index and not np.isnan(v).all()}
