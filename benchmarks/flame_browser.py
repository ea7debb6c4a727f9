"""Measure how fast a flame graph responds, in headless Chromium, for synthetic profiles.

    python benchmarks/flame_browser.py --sizes 100000 500000

For each size: the first draw, from the data to a painted canvas; then percentiles of each
interaction, up to the end of painting, and the median of one pass over as many numbers in the same
browser, as a reference for other machines. Stored in benchmarks/results/flame.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from playwright.sync_api import Page

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import conftest
from helpers import flames

from resleak.figures import flamegraph
from resleak.figures.flame import page

RESULTS = Path(__file__).parent / "results" / "flame.json"
_TIMES = 40
#: In the page: draw once, then repeat each interaction, and return milliseconds.
_MEASURE = """
async ([payload, times]) => {
  const { host, draw, m } = window.bench;
  const begun = performance.now();
  const figure = await draw(host, payload);
  const first = performance.now() - begun;
  const canvas = figure.canvas.getContext("2d");
  const done = () => canvas.getImageData(0, 0, 1, 1);
  const timed = (act) => {
    const start = performance.now();
    act();
    done();
    return performance.now() - start;
  };
  const wide = figure.scene.panels[0].rects.node.filter((node) => node > 0);
  const edges = figure.brush.edges.length;
  const at = (i) => [i % (edges - 2), i % (edges - 2) + 1 + (i % 2)];
  const queries = ["f", "function_1", "module", "/^Class\\\\d+5/", "site-packages", "zzz"];
  const acts = {
    zoom: (i) => (i % 2 ? figure.back() : figure.zoom({ panel: figure.scene.panels[0],
      node: wide[(i * 37) % wide.length] })),
    search: (i) => {
      figure.search.value = queries[i % queries.length] + (i >> 3);
      figure.find();
    },
    brush: (i) => figure.brush.choose(at(i)),
    select: () => figure.choose(figure.scene.selected),
  };
  const found = {};
  for (const [name, act] of Object.entries(acts)) {
    found[name] = Array.from({ length: times }, (_, i) => timed(() => act(i)));
    figure.reset();
  }
  const rare = {
    inverted: () => figure.turn("up"),
    "hide libraries": () => {
      figure.options.libraries = true;
      figure.project();
    },
    sandwich: () => figure.go({ way: "sandwich", focus: 0, path: [] }),
  };
  for (const [name, act] of Object.entries(rare)) {
    found[name] = Array.from({ length: 5 }, () => {
      const took = timed(act);
      figure.options.libraries = false;
      figure.reset();
      return took;
    });
  }
  const { parent, size } = figure.profile;
  const numbers = new Float64Array(size).fill(1);
  found.pass = Array.from({ length: times }, () => timed(() => m.totalsOf(parent, numbers)));
  return { first, found };
}
"""


def main() -> None:
    """Measure each size, store and print the results."""
    options = _options()
    with _browser() as tab:
        rows = [row for size in options.sizes for row in _measure(tab, size)]
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=120).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 500_000])
    return parser.parse_args()


@contextmanager
def _browser() -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(conftest.shutil.which, conftest._NAMES)))
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(conftest._FLAGS))
        tab = browser.new_page(viewport={"width": 1200, "height": 900})
        path = Path(folder) / "page.html"
        path.write_text(_page(), encoding="utf-8")
        tab.goto(path.as_uri())
        yield tab
        browser.close()


def _page() -> str:
    bench = "window.bench = { host: document.getElementById('host'), draw, m: { totalsOf } };"
    return f'<meta charset="utf-8"><div id="host"></div><script>{page.library()}{bench}</script>'


def _measure(tab: Page, size: int) -> Iterator[dict[str, object]]:
    made = flames.large(size)
    payload = page.packed_strings(flamegraph(made).payload)
    kept = round(len(json.dumps(payload)) / 1e6, 2)
    tab.reload()
    told = tab.evaluate(_MEASURE, [payload, _TIMES])
    one = float(np.median(told["found"].pop("pass")))
    told["found"] = {"first draw": [told["first"]], **told["found"]}
    for name, times in told["found"].items():
        values = np.percentile(times, [50, 95, 100])
        numbers = dict(zip(("median_ms", "p95_ms", "worst_ms"), values.round(1), strict=True))
        passes = round(float(values[0]) / one, 1)
        yield {"stacks": size, "what": name, **numbers, "passes": passes, "megabytes": kept}


if __name__ == "__main__":
    main()
