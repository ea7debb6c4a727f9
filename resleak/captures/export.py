"""Write captures in the formats of other tools: gauges here, call stacks by their own writers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from resleak.captures import tables
from resleak.captures.files import atomic
from resleak.captures.frames import Captures, gauges_of, traces
from resleak.captures.names import safe_name
from resleak.errors import ShareError
from resleak.formatting import csv_text

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_LABELS = ("scenario", "variant", "run")
#: Prometheus has units in the names of its metrics.
_UNITS = {"B": "bytes", "s": "seconds"}


def parquet(captures: Captures, target: Path) -> None:
    """Write all readings as one table, with the unit of each column in its field's metadata."""
    frame = traces(captures)
    columns = {str(name): frame[name].to_numpy() for name in frame.columns}
    tables.write_table(target, columns, frame.attrs["units"])


def csv(captures: Captures, target: Path) -> None:
    """Write all readings as text; the unit stands behind the name of its column."""
    frame = traces(captures)
    units = frame.attrs["units"]
    texts = frame.select_dtypes(exclude="number").columns
    frame[texts] = frame[texts].map(lambda cell: csv_text(cell) if isinstance(cell, str) else cell)
    named = {c: csv_text(f"{c} [{units[c]}]" if units.get(c) else str(c)) for c in frame.columns}
    frame.rename(columns=named).to_csv(target, index=False)


def prometheus(captures: Captures, target: Path) -> None:
    """Write all readings as OpenMetrics 1.0, for `promtool tsdb create-blocks-from openmetrics`."""
    from prometheus_client.openmetrics import exposition

    registry = SimpleNamespace(collect=partial(_metrics, captures.select(instrument="gauges")))
    target.write_bytes(cast(Any, exposition).generate_latest(registry))


def _metrics(captures: Captures) -> Iterator[Metric]:
    """Yield a metric for each gauge, with a sample per reading."""
    from prometheus_client.core import GaugeMetricFamily

    frame = traces(captures)
    gauges, units = gauges_of(captures), frame.attrs["units"]
    began = {  # seconds of the epoch
        (c.variant, c.run): datetime.fromisoformat(c.manifest.started).timestamp()
        for c in captures
        if c.manifest.started
    }
    runs = zip(frame["variant"], frame["run"], strict=True)
    frame["at"] = frame["t_s"] + [began.get(run, 0.0) for run in runs]
    for gauge in [name for name in frame.columns if name in gauges]:
        unit = _UNITS.get(units.get(gauge, ""), "")
        family = GaugeMetricFamily(
            f"resleak_{gauge}", gauges[gauge].what or gauge, labels=_LABELS, unit=unit
        )
        read = frame[frame[gauge].notna()].drop_duplicates([*_LABELS, "at"], keep="last")
        for *labels, at, value in read[[*_LABELS, "at", gauge]].itertuples(index=False):
            family.add_metric([str(label) for label in labels], float(value), timestamp=at)
        yield family


#: Formats of gauges by name: the suffix of their files, and what writes one.
FORMATS: dict[str, tuple[str, Callable[[Captures, Path], None]]] = {
    "parquet": (".parquet", parquet),
    "csv": (".csv", csv),
    "prometheus": (".prom", prometheus),
}


def write(captures: Captures, kind: str, file: Path | None = None, name: str = "gauges") -> Path:
    """Write the gauges of runs, by default to a file called `name`; return the file."""
    return write_as(FORMATS, kind, captures, file, name)


def write_as(
    formats: Mapping[str, tuple[str, Callable[[Any, Path], object]]],
    kind: str,
    value: Any,
    file: Path | None,
    name: str,
) -> Path:
    """Write a value in one of several formats, and return the file."""
    if kind not in formats:
        raise ShareError(f"there is no format {kind!r}; choose {', '.join(formats)}")
    suffix, writer = formats[kind]
    target = file or Path(safe_name(name + suffix))
    if file is None and target.exists():  # a stranger's capture may be called anything
        raise ShareError(f"{target} exists; name a file with -o")
    try:
        with atomic(target) as temporary:
            writer(value, temporary)
    except OSError as error:
        reason = error.strerror or error  # pandas has words of its own
        raise ShareError(f"cannot write {target}: {reason}; choose another file") from None
    return target
