"""The panel that compares any two captures: variants, runs, dates, versions, other folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from resleak import figures
from resleak.analysis import growth, stacks
from resleak.analysis.comparison import Comparison, compare
from resleak.captures import frames
from resleak.captures.browse import Shelf, Side, joined, shelf
from resleak.errors import ResleakError
from resleak.ui.panel.results import RUNS, Results, line, style


class Picker(widgets.VBox):  # type: ignore[misc]
    """A search for one of the two sides, with all its runs or one of them."""

    def __init__(self, title: str, query: str) -> None:
        self._shelf = Shelf([], [])
        self.search = widgets.Text(
            query,
            description=title,
            placeholder="scenario, variant, date",
            layout={"width": "auto"},
        )
        self.found = widgets.Select(rows=7, layout={"width": "auto"})
        self.runs = widgets.Dropdown(description="Runs", layout={"width": "14em"})
        self.search.observe(lambda _: self._searched(), names="value")
        self.found.observe(lambda _: self._picked(), names="value")
        super().__init__(
            [self.search, self.found, self.runs], layout={"flex": "1 1 340px", "min_width": "0"}
        )

    def offer(self, shelf: Shelf) -> None:
        """Offer other captures."""
        self._shelf = shelf
        self._searched()

    def side(self) -> Side | None:
        """Return what is chosen, or None."""
        return self.found.value.only(self.runs.value or None) if self.found.value else None

    def _searched(self) -> None:
        kept, sides = self.found.value, self._shelf.search(self.search.value)
        self.found.options = [(str(side), side) for side in sides]
        self.found.value = kept if kept in sides else next(iter(sides), None)
        self._picked()

    def _picked(self) -> None:
        runs = self.found.value.runs if self.found.value else []
        self.runs.options = [("all", 0), *((f"run {run} alone", run) for run in runs)]
        self.runs.value = 0


class Comparing(widgets.VBox):  # type: ignore[misc]
    """Choose any two captures and see what changed.

    Parameters
    ----------
    *folders : Path
        Where captures are, besides what panels have run; others can be added in the panel.
    before, after : str
        Words that are searched for first, such as ``"auth_cache leaky"``.
    """

    def __init__(self, *folders: Path | str, before: str = "", after: str = "") -> None:
        self.folders = list(folders)
        self.before, self.after = Picker("Before", before), Picker("After", after)
        self._folder = widgets.Text(
            placeholder="a folder of captures (empty: look again)",
            continuous_update=False,
            layout={"width": "24em"},
        )
        self._add = widgets.Button(description="Add folder", icon="folder-open")
        self._compare = widgets.Button(description="Compare", button_style="primary")
        self._told = widgets.HTML(layout={"width": "auto"})
        self.results = Results()
        self._add.on_click(lambda _: self._guarded(lambda: self.add(self._folder.value.strip())))
        self._compare.on_click(lambda _: self._guarded(self.compare))
        row = {"flex_flow": "row wrap", "grid_gap": "6px 22px"}
        pickers = widgets.HBox([self.before, self.after], layout=row)
        more = widgets.HBox([self._compare, self._folder, self._add], layout=row)
        super().__init__([style(), pickers, more, self._told, self.results])
        self.add_class("resleak-panel")
        self.reload()

    def reload(self) -> None:
        """Search the folders again."""
        ran = [RUNS] if Path(RUNS).is_dir() else []
        found = shelf(*self.folders, *ran)
        self.before.offer(found)
        self.after.offer(found)
        told = [f"{len(found.sides)} to choose from.", *found.problems[:1]]
        self._told.value = line(" ".join(told))

    def add(self, folder: str) -> None:
        """Offer the captures of one more folder; without one, search all folders again."""
        self.folders = list(dict.fromkeys([*self.folders, *([folder] if folder else [])]))
        self.reload()

    def compare(self) -> Comparison | None:
        """Compare the two sides, as the button does; None if one is missing."""
        old, new = self.before.side(), self.after.side()
        if old is None or new is None:
            self._told.value = line("Choose a capture on each side first.", alert=True)
            return None
        names = _names(old, new)
        found = replace(compare(old.captures, new.captures), before=names[0], after=names[1])
        self._told.value = line(f"{found.before} → {found.after}")
        self.results.offer(
            {
                "Gauges": lambda: [figures.difference(found)],
                "Growth": lambda: _growth(old, new),
                "Memory": lambda: _memory(old, new, found),
            }
        )
        return found

    def _guarded(self, act: Callable[[], object]) -> None:
        try:
            act()
        except ResleakError as error:
            self._told.value = line(str(error), alert=True)
        except Exception as error:  # a capture of someone else's may be anything
            self._told.value = line(f"{type(error).__name__}: {error}", alert=True)

    def __repr__(self) -> str:
        return f"Comparing: {self.before.side()} → {self.after.side()}"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Return the widget and, for pages without a kernel, the choice."""
        live: dict[str, Any] = super()._repr_mimebundle_(**options) or {}
        told = (
            f"In JupyterLab a panel stands here, in which any two captures can be chosen: {self!r}"
        )
        return {**live, "text/plain": repr(self), "text/html": f"<p>{escape(told)}</p>"}


def _names(old: Side, new: Side) -> list[str]:
    """Return names of both sides, with as much detail as tells them apart."""
    sides = (old, new)
    called = [side.name for side in sides]
    for more in (lambda side: side.made, _runs, lambda side: side.where):
        if called[0] != called[1]:
            break
        called = [f"{name}, {more(side)}" for name, side in zip(called, sides, strict=True)]
    return called


def _runs(side: Side) -> str:
    """Name the runs of a side."""
    return "run " + ", ".join(map(str, side.runs))


def _growth(old: Side, new: Side) -> Iterable[object]:
    both = joined(old.captures, new.captures)
    gauges = frames.gauges_of([*old.captures, *new.captures])
    yield figures.timeline(both, gauges, growth.judge(both, gauges), title="Growth")


def _memory(old: Side, new: Side, found: Comparison) -> Iterable[object]:
    sides = [side.captures.select(instrument="memray") for side in (old, new)]
    if not all(sides):
        yield figures.Prose("One of the two has no memory profile.")
        return
    before, after = stacks.joined(*(stacks.profile(side) for side in sides))
    title = f"from {found.before} to {found.after}, per step"
    yield figures.flamegraph(after, before=before, title=title)
