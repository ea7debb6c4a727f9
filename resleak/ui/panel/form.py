"""The form of the panel: scenario, variants, amount and parameters."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from resleak import formatting
from resleak.figures.sentences import Prose, code, described
from resleak.harness.plan import PROFILES, CaptureOptions, parameter
from resleak.report.execute import bundle
from resleak.ui.panel import choices
from resleak.ui.panel.choices import Choice, Declared
from resleak.ui.panel.results import in_words, output

_LABELS = {"description_width": "initial"}
#: Of what stands first in its row, so that rows line up.
_FIRST = {"description_width": "6.5em"}
_ROW = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 18px"}
_ABOUT = {"flex": "2 1 380px", "min_width": "0", "max_height": "330px", "overflow": "auto"}
_AUTO = {"width": "auto"}
_MOST_STEPS = 100_000


class Form(widgets.VBox):  # type: ignore[misc]
    """Everything that can be chosen before a run."""

    def __init__(self, choice: Choice, changed: Callable[[], None]) -> None:
        self._changed, self._choice, self._is_filling = changed, choice, False
        self.search = widgets.Text(
            description="Search", style=_FIRST, layout=_AUTO,
            placeholder="name, system, kind, gauge or claim; or a file.py",
        )  # fmt: skip
        self.matches = widgets.Select(rows=9, layout=_AUTO)
        self.matches.add_class("resleak-matches")
        self.count, self.about = widgets.HTML(), widgets.Output()
        self.variants, self.params = widgets.HBox(layout=_ROW), widgets.HBox(layout=_ROW)
        profiles = {}
        for name, one in PROFILES.items():
            steps = f" of {one.steps} × the steps" if one.steps > 1 else ""
            profiles[f"{name}: {one.runs} runs{steps}"] = name
        self.profile = widgets.Dropdown(
            options=profiles, description="Profile", style=_FIRST, layout=_AUTO
        )
        self.runs = widgets.BoundedIntText(
            3, 1, 50, description="runs", style=_LABELS, layout={"width": "7em"}
        )
        self.steps = widgets.BoundedIntText(
            1, 1, _MOST_STEPS, description="steps", style=_LABELS, layout={"width": "9em"}
        )
        self.stacks = widgets.Checkbox(
            True, description="also find the lines", indent=False, layout=_AUTO
        )
        self.search.observe(lambda _: self._search(), names="value")
        self.matches.observe(lambda change: self._pick(change["new"]), names="value")
        self.profile.observe(lambda _: self._set_amount(), names="value")
        self._settings = _named("Parameters", self.params)
        left = widgets.VBox([self.search, self.matches, self.count], layout={"flex": "1 1 300px"})
        right = widgets.VBox([self.about], layout=_ABOUT)
        much = widgets.HBox([self.profile, self.runs, self.steps, self.stacks], layout=_ROW)
        both = widgets.HBox([left, right], layout={"flex_flow": "row wrap", "grid_gap": "6px 22px"})
        super().__init__([both, _named("Variants", self.variants), self._settings, much])
        self._show(choice)
        self._search()

    def chosen(self) -> Choice:
        """Return what is chosen now; raise ScenarioError if a parameter cannot be read."""
        declared, defaults = self._choice.declared, self._choice.declared["params"]
        values = {box.description: box.value for box in self.params.children}
        values = {name: parameter(name, defaults[name], text) for name, text in values.items()}
        profile = PROFILES[self.profile.value]
        usual = declared["steps"] * profile.steps
        options = CaptureOptions(
            variants=[box.description for box in self.variants.children if box.value],
            profile=self.profile.value,
            runs=None if self.runs.value == profile.runs else self.runs.value,
            steps=None if self.steps.value == usual else self.steps.value,
            stacks=self.stacks.value and declared["stacks"],
            params={name: value for name, value in values.items() if value != defaults[name]},
        )
        return Choice(declared, self._choice.source, options)

    def lock(self, busy: bool) -> None:
        """Disable the form while a run goes on."""
        boxes = [*self.variants.children, *self.params.children, self.search, self.matches]
        for widget in [*boxes, self.profile, self.runs, self.steps]:
            widget.disabled = busy
        self.stacks.disabled = busy or not self._choice.declared["stacks"]

    def _search(self) -> None:
        query = self.search.value.strip()
        if query.endswith(".py"):
            self._pick(query)
            return
        names = [one["name"] for one in choices.search(query)]
        count = formatting.counted(len(names), "scenario")
        message = count if names else "No scenario has all of these words."
        self.count.value = f'<span style="opacity:.8">{message}</span>'
        current = self._choice.declared["name"]
        self._is_filling = True  # filling a list selects its first item for a moment
        self.matches.options = names
        self.matches.value = current if current in names else None
        self._is_filling = False

    def _pick(self, name: Any) -> None:
        if self._is_filling or name in (None, self._choice.source):
            return
        try:
            choice = Choice.of(name)
        except Exception as error:  # a file that is half written while its name is typed
            self.count.value = f'<span role="alert">{escape(in_words(error))}</span>'
            return
        self._show(choice)
        self._changed()

    def _show(self, choice: Choice) -> None:
        self._choice, declared = choice, choice.declared
        self.about.outputs = (output(bundle(about(declared))),)
        self.variants.children = [
            widgets.Checkbox(True, description=name, indent=False, layout=_AUTO)
            for name in declared["variants"]
        ]
        self.params.children = [
            _setting(name, default, declared["soak"].get(name))
            for name, default in declared["params"].items()
        ]
        self._settings.layout.display = None if declared["params"] else "none"
        self.stacks.value = bool(declared["stacks"])
        self.stacks.disabled = not declared["stacks"]
        self._set_amount()

    def _set_amount(self) -> None:
        profile = PROFILES[self.profile.value]
        self.runs.value = profile.runs
        self.steps.value = min(self._choice.declared["steps"] * profile.steps, _MOST_STEPS)


def about(declared: Declared) -> Prose:
    """Return a scenario's title, claim, variants and description."""
    variants = []
    for name, one in declared["variants"].items():
        expected = ", ".join(f"{code(gauge)} {words}" for gauge, words in one["expect"].items())
        what = f"{one['what']} " if one["what"] else ""
        variants.append(f"- {code(name)} {what}({expected or 'clean'})")
    title = f"**{declared['name']}**: {declared['title'] or 'a file of steps'}"
    return described(declared, title, "\n".join(variants))


def _named(label: str, row: Any) -> Any:
    return widgets.HBox([widgets.Label(label, layout={"width": "6.5em", "flex": "0 0 auto"}), row])


def _setting(name: str, default: Any, soak: Any) -> Any:
    """Return the widget of one parameter, by the type of its default."""
    common = {"description": name, "style": _LABELS}
    if isinstance(default, bool):
        return widgets.Checkbox(default, indent=False, layout=_AUTO, **common)
    if isinstance(default, (int, float)):
        kind = widgets.BoundedIntText if isinstance(default, int) else widgets.BoundedFloatText
        low, high = choices.bounds(default, soak)
        span = {"min": low, "max": high, "tooltip": f"{low:g} to {high:g}"}
        return kind(value=default, layout={"width": "15em"}, **span, **common)
    text = default if isinstance(default, str) else repr(default)
    return widgets.Text(text, continuous_update=False, layout=_AUTO, **common)
