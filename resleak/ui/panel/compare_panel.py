"""The panel that compares any two captures: variants, runs, dates, versions, other folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets

from resleak import figures
from resleak.analysis import growth, stacks
from resleak.analysis.comparison import Comparison, compare
from resleak.captures import frames
from resleak.captures.browse import Shelf, Side, joined, shelf
from resleak.ui.panel.results import RUNS, Page, in_words, line

_AUTO = {"width": "auto"}


class Picker(widgets.VBox):  # type: ignore[misc]
    """A search for one of the two sides, with all its runs or one of them."""

    def __init__(self, title: str, query: str) -> None:
        self._shelf = Shelf([], [])
        self.search = widgets.Text(
            query, description=title, placeholder="scenario, variant, date", layout=_AUTO
        )
        self.matches = widgets.Select(rows=7, layout=_AUTO)
        self.runs = widgets.Dropdown(description="Runs", layout={"width": "14em"})
        self._origin = widgets.HTML()
        self.search.observe(lambda _: self._search(), names="value")
        self.matches.observe(lambda _: self._pick(), names="value")
        super().__init__(
            [self.search, self.matches, self.runs, self._origin],
            layout={"flex": "1 1 340px", "min_width": "0"},
        )

    def offer(self, shelf: Shelf) -> None:
        """Offer other captures."""
        self._shelf = shelf
        self._search()

    def side(self) -> Side | None:
        """Return what is chosen, or None."""
        return self.matches.value.only(self.runs.value or None) if self.matches.value else None

    def _search(self) -> None:
        current, sides = self.matches.value, self._shelf.search(self.search.value)
        self.matches.options = [(side.label, side) for side in sides]
        self.matches.value = current if current in sides else next(iter(sides), None)
        self._pick()

    def _pick(self) -> None:
        side = self.matches.value
        runs = side.runs if side else []
        self.runs.options = [("all", 0), *((f"run {run} alone", run) for run in runs)]
        self.runs.value = 0
        self._origin.value = line(f"{side.versions} · {side.where}") if side else ""


class Comparing(Page):
    """Choose any two captures of some folders and see what changed; search words come first."""

    def __init__(self, *folders: Path | str, before: str = "", after: str = "") -> None:
        super().__init__()
        self.folders = list(folders)
        self.before, self.after = Picker("Before", before), Picker("After", after)
        self._folder = widgets.Text(
            placeholder="a folder of captures (empty: look again)", continuous_update=False,
            layout={"width": "24em"},
        )  # fmt: skip
        self._add = widgets.Button(description="Add folder", icon="folder-open")
        self._compare = widgets.Button(description="Compare", button_style="primary")
        self._add.on_click(lambda _: self._guarded(lambda: self.add(self._folder.value.strip())))
        self._compare.on_click(lambda _: self._guarded(self.compare))
        row = {"flex_flow": "row wrap", "grid_gap": "6px 22px"}
        pickers = widgets.HBox([self.before, self.after], layout=row)
        more = widgets.HBox([self._compare, self._folder, self._add], layout=row)
        self._lay_out(pickers, more, self._message, self.results)
        self.add("")

    def add(self, folder: str) -> None:
        """Offer the captures of one more folder; without one, search all folders again."""
        self.folders = list(dict.fromkeys([*self.folders, *([folder] if folder else [])]))
        captures = shelf(*self.folders, *([RUNS] if Path(RUNS).is_dir() else []))
        self.before.offer(captures)
        self.after.offer(captures)
        self._say(" ".join((f"{len(captures.sides)} to choose from.", *captures.problems[:1])))

    def compare(self) -> Comparison | None:
        """Compare the two sides, as the button does; None if one is missing."""
        old, new = self.before.side(), self.after.side()
        if old is None or new is None:
            self._say("Choose a capture on each side first.", alert=True)
            return None
        before, after = _names(old, new)
        comparison = replace(compare(old.captures, new.captures), before=before, after=after)
        self._say(f"{before} → {after}")
        self.results.offer(
            {
                "Gauges": lambda: [figures.difference(comparison)],
                "Growth": lambda: [_growth(old, new)],
                "Memory": lambda: [_memory(old, new, f"from {before} to {after}, per step")],
            }
        )
        return comparison

    def _guarded(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:  # a capture of someone else's may be anything
            self._say(in_words(error), alert=True)

    def __repr__(self) -> str:
        return f"Comparing: {self.before.side()} → {self.after.side()}"


def _names(old: Side, new: Side) -> list[str]:
    """Return names of both sides, with as much detail as tells them apart."""
    details = [
        (side.name, side.made, f"run {', '.join(map(str, side.runs))}", side.where)
        for side in (old, new)
    ]
    for count in range(1, len(details[0]) + 1):
        names = [", ".join(parts[:count]) for parts in details]
        if names[0] != names[1]:
            break
    return names


def _growth(old: Side, new: Side) -> object:
    both = joined(old.captures, new.captures)
    gauges = frames.gauges_of([*old.captures, *new.captures])
    return figures.timeline(both, gauges, growth.judge(both, gauges), title="Growth")


def _memory(old: Side, new: Side, title: str) -> object:
    sides = [side.captures.select(instrument="memray") for side in (old, new)]
    if not all(sides):
        return figures.Prose("One of the two has no memory profile.")
    before, after = stacks.joined(*(stacks.profile(side) for side in sides))
    return figures.flamegraph(after, before=before, title=title)
