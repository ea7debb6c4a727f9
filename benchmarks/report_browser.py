"""Measure size, first paint, interactions and contrast of reports in headless Chromium.

Every report is opened from disk in a browser without a network. Mouse and keys are the browser's
own. The time of an interaction, from the press to the picture, is the browser's event timing (in
steps of 8 ms, from 16 ms on); on a busy machine it depends on the other work, so the time of the
page's own thread stands beside it.

    python benchmarks/report_browser.py [REPORT.html …] [--json FILE]

Without a report the notebooks' case files are written first, into build/reports.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import conftest
from helpers.pages import Visitor, until

ROOT = Path(__file__).parent.parent


TIMES = 12
#: Milliseconds until the picture, and milliseconds of work.
Times = tuple[float, float]
#: The browser reports no faster event.
LEAST_MS = 16.0
GOALS = {"bytes": 1_000_000, "first_paint_ms": 1000, "interaction_ms": 100, "shift": 0.1}
WATCH = """
window.told = []; window.moved = 0;
new PerformanceObserver(list => told.push(...list.getEntries().map(e => [e.name, e.duration])))
  .observe({type: "event", durationThreshold: 16});
new PerformanceObserver(list => list.getEntries()
  .forEach(e => { moved += e.hadRecentInput ? 0 : e.value; }))
  .observe({type: "layout-shift", buffered: true});
"""
#: Lowest contrast of any text with its background; faded text is skipped.
CONTRAST = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const over = (top, below, alpha) => top.map((c, at) => c * alpha + below[at] * (1 - alpha));
  const chain = (node) => (node ? [...chain(node.parentElement), node] : []);
  const found = [];
  const inside = [...document.querySelectorAll("*")].map((n) => n.shadowRoot);
  const roots = [document, ...inside.filter(Boolean)];
  for (const root of roots) for (const node of root.querySelectorAll("*")) {
    const own = [...node.childNodes]
      .some((n) => n.nodeType === 3 && /[\\p{L}\\d]/u.test(n.textContent));
    const seen = own && node.checkVisibility({ visibilityProperty: true });
    if (!seen || node.closest(":disabled, svg")) continue;
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
    """Print one row per report, and write all figures with --json."""
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
    from resleak.report.share import share

    for notebook in sorted((ROOT / "notebooks").glob("2*.ipynb")):
        yield share(notebook, ROOT / "build" / "reports" / f"{notebook.stem}.html")


def measured(browser: Browser, path: Path) -> dict[str, Any]:
    """Return the size, first paint and interaction times of one report."""
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
    took = dict(_acts(visitor.page))
    waited, worked = (sorted(t[of] for times in took.values() for t in times) for of in (0, 1))
    for one in opened:
        one.page.close()
    return {
        "report": path.name,
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content)),
        "first_paint_ms": round(median(paints)),
        "interactions": len(waited),
        "interaction_ms": _most(waited),
        "worked_ms": _most(worked),
        "waited": {name: max(t[0] for t in times) for name, times in took.items()},
        "worked": {name: max(t[1] for t in times) for name, times in took.items()},
        "shift": round(shift, 4),
        "requests": len(visitor.requests) - 1,
        "complaints": visitor.complaints,
        "contrast": contrast,
    }


def _most(times: list[float]) -> float:
    return round(times[int(0.95 * (len(times) - 1))], 1)


def _opened(browser: Browser, path: Path) -> Visitor:
    page = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme="light")
    page.add_init_script(WATCH)
    visitor = Visitor(page)
    visitor.visit(path.resolve())
    until(page, "document.documentElement.dataset.height > 0")
    return visitor


def _acts(page: Page) -> Iterator[tuple[str, list[Times]]]:
    """Yield each interaction with its times."""
    plot = page.locator(".figure .nsewdrag").first
    if plot.count():
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box() or {}
        yield "hover", _each(page, lambda n: _hover(page, box, (n + 1) / (TIMES + 2)))
        yield "zoom a curve", _each(page, lambda n: _drag(page, box))
        legend = page.locator(".figure .legendtoggle").first
        yield "toggle a curve", _each(page, lambda n: legend.click(delay=20))
    heads = page.locator("main .scroll button.sort:visible")
    yield "sort", _each(page, lambda n: heads.nth(n % heads.count()).click())
    field = page.get_by_role("searchbox", name="filter rows")
    if field.count():
        yield "filter", _each(page, lambda n: field.first.press("aeiou"[n % 5]))
    flame = page.locator(".resleak-flame canvas").first
    if flame.count():
        flame.scroll_into_view_if_needed()
        yield "zoom a frame", _each(page, lambda n: _zoom(flame, back=bool(n % 2)))
        search = page.locator(".resleak-flame").first.get_by_role("searchbox")
        yield "search", _each(page, lambda n: search.press("aeiou"[n % 5]))
    yield "show code", _each(page, lambda n: page.locator("#show-code").click())


def _hover(page: Page, box: Any, at: float) -> None:
    page.mouse.move(box["x"] + box["width"] * at, box["y"] + box["height"] / 2)


def _drag(page: Page, box: Any) -> None:
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 40, steps=3)
    page.mouse.up()


def _zoom(flame: Any, *, back: bool) -> None:
    flame.press("Escape") if back else flame.click(position={"x": 40, "y": 30})


def _each(page: Page, act: Callable[[int], None]) -> list[Times]:
    """Repeat an action; return its times, and the page's own working time."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    times = []
    for number in range(TIMES):
        page.wait_for_timeout(350)  # two presses in a row are something else
        page.evaluate("told.length = 0")
        before = _worked(session)
        act(number)
        page.wait_for_timeout(120)
        after = _worked(session)
        waited = max([LEAST_MS, *(duration for _, duration in page.evaluate("told"))])
        times.append((waited, after - before))
    return times


def _worked(session: Any) -> float:
    """Return the total working time of the page's thread in milliseconds."""
    told = session.send("Performance.getMetrics")["metrics"]
    return 1000 * float(next(one["value"] for one in told if one["name"] == "TaskDuration"))


def _table(rows: list[dict[str, Any]]) -> Table:
    heads = ("report", "kB", "gzip kB", "first paint", "95 % waited", "95 % worked", "most work")
    table = Table(*heads, "shift", "requests", "contrast", title="times in ms")
    for row in rows:
        name, most = max(row["worked"].items(), key=lambda item: item[1])
        cells = [
            row["report"],
            f"{row['bytes'] / 1000:.0f}",
            f"{row['gzip_bytes'] / 1000:.0f}",
            str(row["first_paint_ms"]),
            f"{row['interaction_ms']:.0f} of {row['interactions']}",
            f"{row['worked_ms']:.0f}",
            f"{name} {most:.0f}",
            f"{row['shift']:.3f}",
            str(row["requests"]),
            ", ".join(f"{told[0]:.1f}" for told in row["contrast"].values()),
        ]
        table.add_row(*cells)
    return table


if __name__ == "__main__":
    main()
