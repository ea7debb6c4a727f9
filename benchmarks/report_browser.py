"""How heavy reports are, and how long a reader waits: size, first paint, interactions, contrast.

Every report is opened from the disk in a headless Chromium that can reach nobody. Hands and keys
are the browser's own; how long each took, from the press to the picture that shows it, is what the
browser tells of its events (in steps of 8 ms, from 16 ms on).

    python benchmarks/report_browser.py [REPORT.html …] [--json FILE]

Without a report the case files of the notebooks are shared first, into build/reports.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import conftest
from pages import Visitor, until
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TIMES = 12
#: What the browser tells of no event that was quicker.
LEAST_MS = 16.0
GOALS = {"bytes": 1_000_000, "first_paint_ms": 1000, "interaction_ms": 100, "shift": 0.1}
WATCH = """
window.told = []; window.moved = 0;
new PerformanceObserver(list => told.push(...list.getEntries().map(e => [e.name, e.duration])))
  .observe({type: "event", durationThreshold: 16});
new PerformanceObserver(list => list.getEntries().forEach(e => { moved += e.hadRecentInput ? 0 : e.value; }))
  .observe({type: "layout-shift", buffered: true});
"""
#: The least contrast of any text with the paper behind it; what is faded out is not text.
CONTRAST = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const over = (top, below, alpha) => top.map((c, at) => c * alpha + below[at] * (1 - alpha));
  const chain = (node) => (node ? [...chain(node.parentElement), node] : []);
  const found = [];
  const roots = [document, ...[...document.querySelectorAll("*")].map((n) => n.shadowRoot).filter(Boolean)];
  for (const root of roots) for (const node of root.querySelectorAll("*")) {
    const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !node.checkVisibility({ visibilityProperty: true }) || node.closest(":disabled, svg")) continue;
    const above = chain(node);
    if (root !== document) above.unshift(...chain(root.host));
    let paper = [255, 255, 255], faded = 1;
    for (const one of above) {
      const [r, g, b, alpha = 1] = parts(getComputedStyle(one).backgroundColor);
      paper = over([r, g, b], paper, alpha);
      faded *= Number(getComputedStyle(one).opacity);
    }
    const [r, g, b, alpha = 1] = parts(getComputedStyle(node).color);
    const ink = over([r, g, b], paper, alpha * faded);
    const [a, z] = [light(ink), light(paper)].sort((x, y) => y - x);
    const size = parseFloat(getComputedStyle(node).fontSize);
    found.push([(a + 0.05) / (z + 0.05), node.textContent.trim().slice(0, 40), size]);
  }
  return found.sort((x, y) => x[0] - y[0])[0];
}"""


def main() -> None:
    """Print one row a report, and write all figures if asked."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("reports", nargs="*", type=Path)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with _browser() as browser:
        rows = [measured(browser, path) for path in given.reports or list(_shared())]
    Console(width=160).print(_table(rows))
    if given.json:
        given.json.write_text(json.dumps({"goals": GOALS, "reports": rows}, indent=1) + "\n")


@contextmanager
def _browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(conftest.shutil.which, conftest._NAMES)))
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=list(conftest._FLAGS))
        yield found
        found.close()


def _shared() -> Iterator[Path]:
    from resleak.share import share

    for notebook in sorted((ROOT / "notebooks").glob("2*.ipynb")):
        yield share(notebook, ROOT / "build" / "reports" / f"{notebook.stem}.html")


def measured(browser: Browser, path: Path) -> dict[str, Any]:
    """Return what one report weighs, how soon it is seen, and how soon it answers."""
    content = path.read_bytes()
    opened = [_opened(browser, path) for _ in range(3)]
    visitor = opened[-1]
    paints = [one.page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    ) for one in opened]  # fmt: skip
    shift = visitor.page.evaluate("moved")
    contrast = {"light": visitor.page.evaluate(CONTRAST)}
    visitor.page.emulate_media(color_scheme="dark")
    contrast["dark"] = visitor.page.evaluate(CONTRAST)
    took = {name: times for name, times in _acts(visitor.page)}
    every = sorted(time for times in took.values() for time in times)
    for one in opened:
        one.page.close()
    return {
        "report": path.name,
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content)),
        "first_paint_ms": round(median(paints)),
        "interactions": len(every),
        "interaction_ms": every[int(0.95 * (len(every) - 1))],
        "slowest": {name: max(times) for name, times in took.items()},
        "shift": round(shift, 4),
        "requests": len(visitor.requests) - 1,
        "complaints": visitor.complaints,
        "contrast": contrast,
    }


def _opened(browser: Browser, path: Path) -> Visitor:
    page = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme="light")
    page.add_init_script(WATCH)
    visitor = Visitor(page)
    visitor.visit(path)
    until(page, "document.documentElement.dataset.height > 0")
    return visitor


def _acts(page: Page) -> Iterator[tuple[str, list[float]]]:
    """Yield what a reader may do, each with how long it took each time, in ms."""
    plot = page.locator(".figure .nsewdrag").first
    if plot.count():
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box() or {}
        yield "hover", _each(page, lambda n: page.mouse.move(
            box["x"] + box["width"] * (n + 1) / (TIMES + 2), box["y"] + box["height"] / 2))  # fmt: skip
        yield "zoom a curve", _each(page, lambda n: _drag(page, box))
        legend = page.locator(".figure .legendtoggle").first
        yield "toggle a curve", _each(page, lambda n: (page.wait_for_timeout(400), legend.click()))
    head = page.locator("main .scroll button.sort")
    yield "sort", _each(page, lambda n: head.nth(n % head.count()).click(timeout=2000)
                        if head.nth(n % head.count()).is_visible() else None)  # fmt: skip
    field = page.get_by_role("searchbox", name="filter rows")
    if field.count():
        yield "filter", _each(page, lambda n: field.first.press("aeiou"[n % 5]))
    flame = page.locator(".resleak-flame canvas")
    if flame.count():
        flame.first.scroll_into_view_if_needed()
        yield "zoom a frame", _each(page, lambda n: flame.first.press("Escape") if n % 2
                                    else flame.first.click(position={"x": 40, "y": 30}))  # fmt: skip
        search = page.locator(".resleak-flame").first.get_by_role("searchbox")
        yield "search", _each(page, lambda n: search.press("aeiou"[n % 5]))
    yield "show code", _each(page, lambda n: page.locator("#show-code").click())


def _drag(page: Page, box: Any) -> None:
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 40, steps=3)
    page.mouse.up()


def _each(page: Page, act: Any) -> list[float]:
    times = []
    for number in range(TIMES):
        page.evaluate("told.length = 0")
        act(number)
        page.wait_for_timeout(120)
        times.append(max([LEAST_MS, *(duration for _, duration in page.evaluate("told"))]))
    return times


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("report", "kB", "gzip kB", "first paint ms", "95 % of interactions ms", "slowest",
                  "shift", "requests", "contrast light, dark")  # fmt: skip
    for row in rows:
        name, slowest = max(row["slowest"].items(), key=lambda item: item[1])
        least = ", ".join(f"{told[0]:.1f}" for told in row["contrast"].values())
        table.add_row(
            row["report"], f"{row['bytes'] / 1000:.0f}", f"{row['gzip_bytes'] / 1000:.0f}",
            str(row["first_paint_ms"]), f"{row['interaction_ms']:.0f} of {row['interactions']}",
            f"{name} {slowest:.0f}", f"{row['shift']:.3f}", str(row["requests"]), least,
        )  # fmt: skip
    return table


if __name__ == "__main__":
    main()
