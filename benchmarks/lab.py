"""Measure how soon JupyterLab shows the first notebook, and the panel its first point.

    python benchmarks/lab.py --times 5

Each time a fresh server and a fresh page of headless Chromium, as `resleak lab` starts them: from
the start of the server to the last figure of 00 after Run All; and from the click on Run to the
first point of a live curve, both as seen by the page. Stored in benchmarks/results/lab.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import conftest
from helpers import labs

PROJECT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "lab.json"
#: In the page: milliseconds from the click on Run to the first drawn line.
_FIRST_POINT = """
(run) => new Promise((resolve) => {
  const drawn = () => document.querySelector(".resleak-panel polyline");
  let begun;
  run.addEventListener("click", () => { begun = performance.now(); }, { once: true });
  const look = () => (drawn() ? resolve(performance.now() - begun) : setTimeout(look, 5));
  run.click();
  look();
})
"""
GOALS = {
    "server started to 00 shown": 10.0,
    "server started to 00 run and drawn": None,
    "Run pressed to the first point": 1.5,
}


@contextmanager
def desk(browser: Any) -> Iterator[tuple[labs.Desk, float]]:
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="resleak-") as folder,
        labs.serving(PROJECT, Path(folder)) as lab,
    ):
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        yield labs.Desk(lab, page), begun
        page.close()


def once(browser: Any) -> dict[str, float]:
    with desk(browser) as (here, begun):
        here.page.goto(here.lab.address("00_start_here.ipynb"))
        here.page.get_by_role("heading", name="How do I see that code leaks").wait_for()
        shown = time.monotonic() - begun
        here.idle()
        here.run_all()
        here.page.locator(".js-plotly-plot .main-svg").first.wait_for(state="attached")
        drawn = time.monotonic() - begun
        here.open_panel()
        first = here.page.locator(labs.RUN).evaluate(_FIRST_POINT)
    return dict(zip(GOALS, (shown, drawn, first / 1000), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = conftest.found()
        browser = playwright.chromium.launch(executable_path=path, args=list(conftest._FLAGS))
        measured = [once(browser) for _ in range(times)]
        browser.close()
    found = {name: [round(one[name], 2) for one in measured] for name in GOALS}
    table = Table("s", "median", "all", "goal")
    for name, values in found.items():
        goal = f"< {GOALS[name]:g}" if GOALS[name] else ""
        table.add_row(name, f"{median(values):.2f}", ", ".join(map(str, sorted(values))), goal)
    Console().print(table)
    load = [round(value, 1) for value in os.getloadavg()]
    RESULTS.write_text(json.dumps({"seconds": found, "load": load}, indent=1) + "\n")


if __name__ == "__main__":
    main()
