"""Measure latencies before and after the fix while a thousand clients write at once.

    python benchmarks/flood.py            # about five minutes each, as in the testing plan
    python benchmarks/flood.py --steps 10

Runs `arc/write_rate` with its soak profile, one run per variant in sequence, and prints the median
over all bursts of the 50th, 95th and 99th percentile of a write's latency, and the most bytes held
in memory. Stored in benchmarks/results/flood.json. Compare the variants with each other: the times
depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from resleak.captures import load
from resleak.captures.frames import Capture
from resleak.harness.runner import capture

RESULTS = Path(__file__).parent / "results" / "flood.json"
LATENCIES = ("latency_p50", "latency_p95", "latency_p99")


def main() -> None:
    """Run the flood, store and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, help="bursts of each variant")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        capture(
            "arc/write_rate",
            **{"profile": "soak", "runs": 1, "steps": options.steps, "out": out, "parallel": 1},
        )
        rows = [_row(run) for run in load.load(out)]
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    Console(width=120).print(_table(rows))


def _row(run: Capture) -> dict[str, Any]:
    steps = run.trace[(run.trace["phase"] == "steady") & (run.trace["moment"] == "step")]
    return {
        "variant": run.variant,
        "clients": run.manifest.params["clients"],
        "bursts": len(steps),
        "seconds": round(float(steps["t_s"].iloc[-1] - steps["t_s"].iloc[0]), 1),
        **{name: round(float(steps[name].median()), 4) for name in LATENCIES},
        "most_held_bytes": int(steps["bytes_held"].max()),
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*map(str, row.values()))
    return table


if __name__ == "__main__":
    main()
