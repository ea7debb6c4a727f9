"""Flame graphs that are read in a browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.pages import Visitor, until

if TYPE_CHECKING:
    from playwright.sync_api import Locator

#: Wide enough for a desk, and as narrow as a phone.
DESK, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}
#: A page that is dark where its reader wants it to be.
HEAD = (
    '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<meta name="color-scheme" content="light dark">'
)
#: Height of a row of frames, in pixels.
ROW = 20


@dataclass
class Reader(Visitor):
    """A page with flame graphs that is being read, and what went wrong or out meanwhile."""

    def open(self, path: Path) -> None:
        self.visit(path)
        until(
            self.page, "[...document.querySelectorAll('.resleak-flame')].every(f => f.shadowRoot)"
        )

    @property
    def canvas(self) -> Locator:
        return self.page.locator("canvas").first

    @property
    def whole(self) -> str:
        return self.text(".whole")

    @property
    def details(self) -> str:
        return " ".join(self.page.locator(".details").first.inner_text().split())

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    def crumbs(self) -> list[str]:
        return self.page.locator(".crumbs").first.locator("button").all_inner_texts()

    def click(self, part: float, row: int, **how: Any) -> None:
        """Click a row, at this part of the width."""
        box = self.canvas.bounding_box()
        self.canvas.click(position={"x": box["width"] * part, "y": row * ROW + 10}, **how)

    def hover(self, part: float, row: int) -> str:
        box = self.canvas.bounding_box()
        self.canvas.hover(position={"x": box["width"] * part, "y": row * ROW + 10})
        return self.text(".tip")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.canvas.press(key)

    def colour(self, part: float, row: int) -> list[int]:
        """Return the painted colour at the left of a row's middle, without letters."""
        code = """(canvas, [part, y]) => {
          const ratio = devicePixelRatio;
          const pen = canvas.getContext("2d");
          return [...pen.getImageData(part * canvas.width, y * ratio, 1, 1).data];
        }"""
        return self.canvas.evaluate(code, [part, row * ROW + 3])

    def rows(self) -> list[list[str]]:
        table = self.page.locator(".sites tbody tr").all()
        return [row.locator("td").all_inner_texts() for row in table]

    def choose(self, name: str, label: str) -> None:
        self.page.locator(".controls label", has_text=name).locator("select").select_option(
            label=label
        )


Open = Callable[..., Reader]
