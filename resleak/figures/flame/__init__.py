"""The flame graph of growth: the calls whose retained memory grows with each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from resleak import formatting
from resleak.figures.flame import page

if TYPE_CHECKING:
    import pandas as pd

    from resleak.analysis.stacks.profiles import Profile

__all__ = ["Flame", "flamegraph"]

#: What notebooks store besides HTML; `resleak.report.html_page` draws it.
MIME = "application/vnd.resleak.flame+json"


@dataclass(frozen=True)
class Flame:
    """A flame graph for wherever HTML with scripts is shown.

    `payload` is plain JSON: the profile, title, unit and table; `table` has the lines that retain
    most, as numbers.
    """

    payload: dict[str, Any] = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    #: The whole period as one picture, for print and for viewers that run no script; or empty.
    svg: str = field(default="", repr=False)

    def __repr__(self) -> str:
        text = str(self.payload["empty"] or self.table.to_string(float_format=formatting.number))
        return "\n".join(filter(None, (self.payload["title"], text)))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        script = "" if self.payload["empty"] else f"<script>{page.script()}</script>"
        html = {"text/html": page.place(self.payload) + script, MIME: self.payload}
        picture = {"image/svg+xml": self.svg} if self.svg else {}
        return {**html, **picture, "text/plain": repr(self)}

    def live(self) -> Any:
        """Return a widget whose ``selection`` has the frame that was clicked last.

        It has ``function``, ``file``, ``line``, ``per_step``, ``self_per_step``,
        ``blocks_per_step``, ``unit``, ``per`` and ``window``, the steps looked at, and is empty
        before the first click. MissingPackageError if anywidget is not installed.
        """
        return page.widget(self.payload)


def flamegraph(
    profile: Profile,
    *,
    before: Profile | None = None,
    title: str | None = None,
    selection: Mapping[str, Any] | None = None,
    unit: str = "B",
) -> Flame:
    """Draw the stacks that grew: callers above callees, as wide as their growth.

    Parameters
    ----------
    profile : Profile
        Of `resleak.profile`.
    before : Profile, optional
        Of the same frames (see `resleak.analysis.stacks.joined`): the change since then is drawn.
    title : str, optional
        The figure's title.
    selection : mapping, optional
        Initial view: ``window``, two steps; ``function``, ``file`` and ``line`` of a frame to zoom
        into. The ``selection`` of a live flame graph is one.
    unit : str
        Unit of the profile's ``bytes``; anything but ``B`` is not scaled.

    Raises
    ------
    ValueError
        If the two profiles have not the same frames.
    """
    import pandas as pd  # a page that is written from what is stored needs neither

    from resleak.figures.flame import payload

    sides = [profile] if before is None else [profile, before]
    if before is not None and len(before.frames) != len(profile.frames):
        raise ValueError(
            "before and after must have the same frames: see resleak.analysis.stacks.joined"
        )
    drawing, table = payload.drawing(sides, unit)
    drawing |= {"title": title, "selection": dict(selection or {})}
    svg = "" if drawing["empty"] else payload.picture(sides, title or "", unit)
    return Flame(drawing, pd.DataFrame(table), svg)
