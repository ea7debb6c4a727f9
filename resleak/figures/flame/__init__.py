"""The flame graph of growth: which calls hold on to more memory after each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from resleak import units
from resleak.figures.flame import page, top
from resleak.figures.flame.encode import Side, encode
from resleak.stacks.columns import column, sums

if TYPE_CHECKING:
    import pandas as pd

    from resleak.stacks.windows import Layout, Profile

__all__ = ["Flame", "drawing", "flamegraph"]

#: What notebooks store besides HTML; `resleak.report` draws it.
MIME = "application/vnd.resleak.flame+json"
_NOTHING = "nothing grew between the steady marks"
_UNKNOWN = "no capture has stacks of two steady marks: nothing is known of growth"


@dataclass(frozen=True)
class Flame:
    """A flame graph that can be looked at wherever HTML with scripts is shown.

    Parameters
    ----------
    payload : dict
        Plain JSON: the profile as `encode` returns it, title, unit, and what the table says.
    table : DataFrame
        The lines that keep most, as numbers.
    """

    payload: dict[str, Any] = field(repr=False)
    table: pd.DataFrame = field(repr=False)

    def __repr__(self) -> str:
        """Return the lines that keep most as plain text."""
        told = str(self.payload["empty"] or self.table.to_string(float_format=units.number))
        return "\n".join(filter(None, (self.payload["title"], told)))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/html": page.html(self.payload), MIME: self.payload, "text/plain": repr(self)}

    def live(self) -> Any:
        """Return a widget whose ``selection`` holds the frame that was clicked last.

        Returns
        -------
        anywidget.AnyWidget
            In ``selection``: ``function``, ``file``, ``line``, ``per_step``, ``self_per_step``,
            ``blocks_per_step``, ``unit``, ``per`` and ``window``, the steps looked at; empty
            before the first click.

        Raises
        ------
        MissingPackageError
            If anywidget is not installed.
        """
        from resleak.figures.flame.live import widget

        return widget(self.payload)


def flamegraph(
    profile: Profile,
    *,
    before: Profile | None = None,
    title: str | None = None,
    selection: Mapping[str, Any] | None = None,
    unit: str = "B",
) -> Flame:
    """Draw the stacks that grew: callers above, what they call below, as wide as their growth.

    Parameters
    ----------
    profile : Profile
        Of `resleak.stacks.profile`.
    before : Profile, optional
        Of the same frames (see `resleak.stacks.joined`): what changed since then is drawn.
    title : str, optional
        The figure's title.
    selection : mapping, optional
        What to show first: ``window``, two steps; ``function``, ``file`` and ``line`` of a frame
        to zoom into. The ``selection`` of a live flame graph is one.
    unit : str
        What ``bytes`` of the profile counts; anything but ``B`` is written as it is.

    Returns
    -------
    Flame
        Or one that says in words why there is nothing to draw.

    Raises
    ------
    ValueError
        If the two profiles have not the same frames.
    """
    sides = [profile] if before is None else [profile, before]
    if before is not None and len(before.frames) != len(profile.frames):
        raise ValueError("before and after must have the same frames: see resleak.stacks.joined")
    import pandas as pd

    table = top.sites(sides)
    payload = _payload(sides, table, unit) | {"title": title, "selection": dict(selection or {})}
    return Flame(payload, pd.DataFrame(table))


def drawing(layout: Layout) -> dict[str, Any]:
    """Return the payload of `flamegraph` for stacks that are no data frames."""
    return _payload([layout], top.sites([layout]), "B")


def _payload(sides: Sequence[Side], table: dict[str, np.ndarray], unit: str) -> dict[str, Any]:
    per = str(sides[0].per)
    return {
        **encode(sides),
        "title": None,
        "unit": unit,
        "per": per,
        "empty": _why_empty(sides),
        "selection": {},
        "table": top.written(table, unit, per),
    }


def _why_empty(sides: Sequence[Side]) -> str | None:
    if any(len(side.edges) < 2 for side in sides):
        return _UNKNOWN
    return None if any(_grew(side) for side in sides) else _NOTHING


def _grew(side: Side) -> bool:
    node, change = column(side.changes, "node", np.int64), column(side.changes, "bytes", float)
    return bool((sums(node, change, 0) > 0).any())
