"""The form of the panel: scenario, variants, amount and parameters."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from resleak.figures.sentences import Prose
from resleak.harness.plan import PROFILES, CaptureOptions
from resleak.ui.panel import choices
from resleak.ui.panel.choices import Choice, Declared, Field
from resleak.ui.panel.results import output

_PROFILES = {
    "quick: 3 runs": "quick",
    "full: 5 runs": "full",
    "soak: 5 runs of 20 × the steps": "soak",
}
_LABELS = {"description_width": "initial"}
#: Of what stands first in its row, so that rows line up.
_FIRST = {"description_width": "6.5em"}
_ROW = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 18px"}
_ABOUT = {"flex": "2 1 380px", "min_width": "0", "max_height": "330px", "overflow": "auto"}
_MOST_STEPS = 100_000


class Form(widgets.VBox):  # type: ignore[misc]
    """Everything that can be chosen before a run."""

    def __init__(self, choice: Choice, changed: Callable[[], None]) -> None:
        self._changed, self._choice, self._filling = changed, choice, False
        self.search = widgets.Text(
            placeholder="name, system, kind, gauge or claim; or a file.py",
            description="Search",
            style=_FIRST,
            layout={"width": "auto"},
        )
        self.found = widgets.Select(rows=9, layout={"width": "auto"})
        self.found.add_class("resleak-found")
        self.count, self.about = widgets.HTML(), widgets.Output()
        self.variants, self.params = widgets.HBox(layout=_ROW), widgets.HBox(layout=_ROW)
        self.profile = widgets.Dropdown(options=_PROFILES, description="Profile", style=_FIRST)
        self.runs = widgets.BoundedIntText(3, 1, 50, description="runs", style=_LABELS)
        self.steps = widgets.BoundedIntText(1, 1, _MOST_STEPS, description="steps", style=_LABELS)
        self.stacks = widgets.Checkbox(True, description="also find the lines", indent=False)
        self.runs.layout.width, self.steps.layout.width = "7em", "9em"
        self.stacks.layout.width, self.profile.layout.width = "auto", "auto"
        self.search.observe(lambda _: self._searched(), names="value")
        self.found.observe(lambda change: self._picked(change["new"]), names="value")
        self.profile.observe(lambda _: self._amount(), names="value")
        self._settings = _named("Parameters", self.params)
        left = widgets.VBox([self.search, self.found, self.count], layout={"flex": "1 1 300px"})
        right = widgets.VBox([self.about], layout=_ABOUT)
        much = widgets.HBox([self.profile, self.runs, self.steps, self.stacks], layout=_ROW)
        both = widgets.HBox([left, right], layout={"flex_flow": "row wrap", "grid_gap": "6px 22px"})
        super().__init__([both, _named("Variants", self.variants), self._settings, much])
        self._show(choice)
        self._searched()

    def chosen(self) -> Choice:
        """Return what is chosen now.

        Raises
        ------
        ScenarioError
            If a parameter cannot be read.
        """
        declared = self._choice.declared
        settings = zip(choices.fields(declared), self.params.children, strict=True)
        values = {field: field.read(widget.value) for field, widget in settings}
        profile = PROFILES[self.profile.value]
        usual = declared["steps"] * profile.steps
        options = CaptureOptions(
            variants=[box.description for box in self.variants.children if box.value],
            profile=self.profile.value,
            runs=None if self.runs.value == profile.runs else self.runs.value,
            steps=None if self.steps.value == usual else self.steps.value,
            stacks=self.stacks.value and declared["stacks"],
            params={field.name: v for field, v in values.items() if v != field.default},
        )
        return Choice(declared, self._choice.source, options)

    def lock(self, busy: bool) -> None:
        """Disable the form while a run goes on."""
        boxes = [*self.variants.children, *self.params.children, self.search, self.found]
        for widget in [*boxes, self.profile, self.runs, self.steps]:
            widget.disabled = busy
        self.stacks.disabled = busy or not self._choice.declared["stacks"]

    def _searched(self) -> None:
        query = self.search.value.strip()
        if query.endswith(".py"):
            self._picked(query)
            return
        found = choices.search(query)
        self.count.value = f'<span style="opacity:.8">{_counted(len(found))}</span>'
        keep = self._choice.declared["name"]
        names = [one["name"] for one in found]
        self._filling = True  # filling a list selects its first item for a moment
        self.found.options = names
        self.found.value = keep if keep in names else None
        self._filling = False

    def _picked(self, name: Any) -> None:
        if self._filling or name in (None, self._choice.source):
            return
        try:
            choice = Choice.of(name)
        except Exception as error:  # a file that is half written while its name is typed
            self.count.value = f'<span role="alert">{escape(" ".join(str(error).split()))}</span>'
            return
        self._show(choice)
        self._changed()

    def _show(self, choice: Choice) -> None:
        self._choice, declared = choice, choice.declared
        self.about.outputs = (output(about(declared)),)
        self.variants.children = [_tick(name) for name in declared["variants"]]
        self.params.children = [_widget(field) for field in choices.fields(declared)]
        self._settings.layout.display = None if declared["params"] else "none"
        self.stacks.value = bool(declared["stacks"])
        self.stacks.disabled = not declared["stacks"]
        self._amount()

    def _amount(self) -> None:
        profile = PROFILES[self.profile.value]
        self.runs.value = profile.runs
        self.steps.value = min(self._choice.declared["steps"] * profile.steps, _MOST_STEPS)


def about(declared: Declared) -> Prose:
    """Return a scenario's title, claim, variants and description."""
    claim = f"Seed {declared['seed']}: “{declared['claim']}”" if declared["claim"] else ""
    variants = "\n".join(_variant(name, one) for name, one in declared["variants"].items())
    doc = declared["doc"].partition("\n")[2].strip()
    head = f"**{declared['name']}**: {declared['title'] or 'a file of steps'}"
    return Prose("\n\n".join(filter(None, (head, claim, variants, doc))))


def _variant(name: str, one: Declared) -> str:
    expected = ", ".join(f"`{gauge}` {words}" for gauge, words in one["expect"].items()) or "clean"
    what = f"{one['what']} " if one["what"] else ""
    return f"- `{name}` {what}({expected})"


def _counted(number: int) -> str:
    if not number:
        return "No scenario has all of these words."
    return f"{number} scenario{'s' if number != 1 else ''}"


def _named(label: str, row: Any) -> Any:
    return widgets.HBox([widgets.Label(label, layout={"width": "6.5em", "flex": "0 0 auto"}), row])


def _tick(name: str) -> Any:
    return widgets.Checkbox(True, description=name, indent=False, layout={"width": "auto"})


def _widget(field: Field) -> Any:
    common = {"description": field.name, "style": _LABELS}
    if field.kind == "flag":
        return widgets.Checkbox(field.default, indent=False, layout={"width": "auto"}, **common)
    if field.kind in ("whole", "real"):
        made = widgets.BoundedIntText if field.kind == "whole" else widgets.BoundedFloatText
        told = f"{field.low:g} to {field.high:g}"
        bounds = {"min": field.low, "max": field.high, "tooltip": told}
        return made(value=field.default, layout={"width": "15em"}, **bounds, **common)
    value = field.default if field.kind == "text" else repr(field.default)
    return widgets.Text(value=value, continuous_update=False, layout={"width": "auto"}, **common)
