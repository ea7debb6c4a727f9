"""A run's gauges in the formats of other tools: Parquet, CSV, and what Prometheus takes in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from resleak.captures import tables
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
    """Write all readings in the OpenMetrics text format, with their times.

    ``promtool tsdb create-blocks-from openmetrics FILE`` takes it in.

    References
    ----------
    OpenMetrics 1.0, text format. Prometheus: Backfilling from OpenMetrics format.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.openmetrics import exposition

    registry, written = CollectorRegistry(), cast(Any, exposition)
    registry.register(_Readings(captures))
    target.write_bytes(written.generate_latest(registry))


FORMATS: dict[str, tuple[Callable[[Captures, Path], None], str]] = {
    "parquet": (parquet, ".parquet"),
    "csv": (csv, ".csv"),
    "prometheus": (prometheus, ".prom"),
}


def write(captures: Captures, kind: str, file: Path | None = None, name: str = "gauges") -> Path:
    """Write the gauges of runs as one file.

    Parameters
    ----------
    captures : Captures
        Runs with gauges; the others are passed over.
    kind : {"parquet", "csv", "prometheus"}
        The format.
    file : Path, optional
        Where to; by default a file in this folder that ends as its format's files do.
    name : str
        What the file is called by default.

    Returns
    -------
    Path

    Raises
    ------
    ShareError
        If it cannot be written.
    StoreError
        If none of the captures has gauges.
    """
    export, ending = FORMATS[kind]
    target = file or Path(safe_name(name + ending))
    try:
        export(captures, target)
    except OSError as error:
        told = error.strerror or error  # pandas says it in words of its own
        raise ShareError(f"cannot write {target}: {told}; choose another file") from None
    return target


class _Readings:
    """What prometheus-client asks for metrics: one for each gauge, with a sample a reading."""

    def __init__(self, captures: Captures) -> None:
        self._captures = captures.select(instrument="gauges")

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        frame = traces(self._captures)
        known, units = gauges_of(self._captures), frame.attrs["units"]
        frame["at"] = frame["t_s"] + self._started(frame)
        for gauge in [name for name in frame.columns if name in known]:
            unit = _UNITS.get(units.get(gauge, ""), "")
            family = GaugeMetricFamily(
                f"resleak_{gauge}", known[gauge].what or gauge, labels=_LABELS, unit=unit
            )
            read = frame[frame[gauge].notna()].drop_duplicates([*_LABELS, "at"], keep="last")
            for *labels, at, value in read[[*_LABELS, "at", gauge]].itertuples(index=False):
                family.add_metric([str(label) for label in labels], float(value), timestamp=at)
            yield family

    def _started(self, frame: pd.DataFrame) -> pd.Series:
        """Return when the run of each row began, in seconds of the epoch; 0 where nobody knows."""
        began = {
            (c.variant, c.run): datetime.fromisoformat(c.manifest.started).timestamp()
            for c in self._captures
            if c.manifest.started
        }
        runs = zip(frame["variant"], frame["run"], strict=True)
        return pd.Series([began.get(run, 0.0) for run in runs], frame.index)
