"""Cards of causes as safe HTML: what leaks, where, why, how badly, and what to change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from resleak.analysis.causes import text

if TYPE_CHECKING:
    from resleak.analysis.causes.model import Causes
    from resleak.analysis.verdicts import VariantVerdict

_BOX = (
    "border:1px solid rgba(127,127,127,.35);border-left:4px solid #D55E00;border-radius:6px;"
    "padding:8px 12px;margin:8px 0;font-size:0.95em"
)
_ROW = "display:grid;grid-template-columns:minmax(5.5em,7.5em) minmax(0,1fr);gap:2px 10px"
_LABEL, _TEXT = "opacity:.75;margin:0", "margin:0;overflow-wrap:anywhere"
_CODE = "display:block;white-space:pre-wrap;background:rgba(127,127,127,.13);padding:1px 6px"


@dataclass(frozen=True)
class Card:
    """One cause as plain texts, which may be redacted: a title, and rows of label, text, source."""

    title: str
    rows: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class Cards:
    """Cards as HTML for a notebook, and as text."""

    cards: list[Card]
    notes: list[str]
    plain: str = field(repr=False, default="")

    def __repr__(self) -> str:
        return self.plain or "Nothing leaks."

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return html(self.cards) + notes if self.cards else "<p>Nothing leaks.</p>"


def cards(causes: Causes) -> list[Card]:
    """Return a card for each cause."""
    return [
        Card(
            f"{number}. {' '.join(text.headline(cause).split())}",
            [[row.label, row.text, row.source] for row in text.rows(cause)],
        )
        for number, cause in enumerate(causes.causes, 1)
    ]


def cause_cards(variant: VariantVerdict) -> Cards:
    """Show the causes of a variant as cards, and how much of its growth they explain."""
    notes = [*text.accounts(variant.found)]
    plain = "\n".join([*text.numbered(variant.found), *notes])
    return Cards(cards(variant.found), notes, plain)


def html(shown: Iterable[Card]) -> str:
    """Return cards as HTML, with everything in them escaped."""
    return "".join(
        f'<div class="cause" style="{_BOX}"><b>{escape(one.title)}</b>'
        f'<dl style="{_ROW};margin:4px 0 0">{"".join(map(_row, one.rows))}</dl></div>'
        for one in shown
    )


def _row(row: Sequence[str]) -> str:
    label, told, source = row
    code = f'<code style="{_CODE}">{escape(source)}</code>' if source else ""
    return f'<dt style="{_LABEL}">{escape(label)}</dt><dd style="{_TEXT}">{escape(told)}{code}</dd>'
