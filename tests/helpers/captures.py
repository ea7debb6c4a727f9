"""Made-up captures on disk: a manifest and a trace as a run would leave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resleak.captures import storage, tables
from resleak.captures.manifest import Declared, Exit, Manifest, Phase, Versions
from resleak.workload.scenario import Scenario


def step(_step: int, _world: object) -> None:
    return None


def scenario(
    system: str = "", leaky_origin: Any = "ours", readings: Sequence[str] = (), **options: Any
) -> Scenario:
    """Return a scenario with leaky, proposed, fixed and others, and one own gauge."""
    made = Scenario(**{"gauges": ("fds",), **options})
    made.name, made.title, made.system = "made/up", "Made up.", system
    for name in ("leaky", "proposed", "fixed", *readings):
        made.variant(name, origin=leaky_origin if name == "leaky" else "ours")(step)
    made.gauge("entries")(entries)
    return made


def entries(_world: object) -> float:
    return 0.0


def write(
    root: Path,
    made: Scenario,
    variant: str,
    trace: pd.DataFrame,
    *,
    status: str = "exited",
    exit_s: float = 0.1,
    cleanup_s: float = 0.05,
    facts: Mapping[str, float] | None = None,
    host: Mapping[str, object] | None = None,
) -> None:
    """Write the runs of a trace as captures of one variant; its attributes say what steps are."""
    for run, rows in trace.groupby("run"):
        folder = root / made.name / variant / f"gauges-{run:02d}"
        with storage.writing(folder) as partial:
            rows = rows.drop(columns=["scenario", "variant", "run"])
            columns = {str(name): rows[name].to_numpy() for name in rows.columns}
            tables.write_table(partial / "trace.parquet", columns, {"fds": "descriptors"})
            manifest = Manifest(
                session="made up",
                scenario=Declared.parse(made.describe()),
                variant=variant,
                run=int(str(run)),
                steps=240,
                per=trace.attrs.get("per", "step"),
                host=dict(host or {}),
                phases=(Phase("teardown", 2.0, 2.0 + cleanup_s),),
                exit=Exit(status, "exit", 0, exit_s),
                facts=dict(facts or {}),
                versions=Versions("3.11.7"),
            )
            storage.write_manifest(partial, manifest)
