"""The look that all figures share: right on light and dark paper, and without colour alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from resleak.workload import verdict_words as words

#: No upload button, no advertising.
CONFIG: dict[str, Any] = {
    "showSendToCloud": False,
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
}

#: The grey with the same contrast (4.4 : 1) on white as on JupyterLab's dark paper, #111111.
INK = "#797979"
GRID = "rgba(127, 127, 127, 0.22)"
SHADE = "rgba(127, 127, 127, 0.13)"
CLEAR = "rgba(0, 0, 0, 0)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


@dataclass(frozen=True)
class Mark:
    """The look of a variant in all figures: a colour and, without colour vision, a dash."""

    colour: str
    dash: str

    def fill(self, opacity: float = 0.18) -> str:
        """Return the colour as a translucent fill."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red}, {green}, {blue}, {opacity})"


#: Okabe and Ito's palette, which stays apart under the common colour vision deficiencies.
VARIANTS = {
    "leaky": Mark("#D55E00", "solid"),
    "proposed": Mark("#E69F00", "7px,2px"),
    "fixed": Mark("#009E73", "2px,3px"),
}
OTHERS = (
    Mark("#0072B2", "solid"),
    Mark("#CC79A7", "dashdot"),
    Mark("#56B4E9", "longdash"),
    Mark("#8C8C8C", "longdashdot"),
)

#: Frames of stacks, by what they are; each is light enough for black letters, on any paper, and
#: differs from the others in lightness too.
FRAMES = {
    "studied": "#E8731A",
    "passing": "#F6C9A4",
    "other": "#9CC4E4",
    "library": "#A4A9AE",
    "whole": "#D5D8DB",
    "grew": "#E8731A",
    "shrank": "#56B4E9",
    "same": "#D5D8DB",
    "least": "#FCEBDC",
}
LETTERS = "#111111"


@dataclass(frozen=True)
class WordStyle:
    """The look of a verdict word or an outcome: as text, as a bar, in a terminal, in a cell."""

    colour: str = "inherit"
    pattern: str = ""
    weight: int = 600  # more if it asks for something; the word itself says which
    terminal: str = ""
    fill: str = "rgba(127, 127, 127, 0.1)"


_RED = "rgba(213, 94, 0, 0.28)"
#: The one table of colours of words; a word that is not in it is drawn as plain text.
WORDS = {
    words.LEAK: WordStyle(weight=700, terminal="bold red", fill="rgba(213, 94, 0, 0.45)"),
    **dict.fromkeys(
        (words.HANGS, words.BROKEN, words.SCALES), WordStyle(terminal="bold red", fill=_RED)
    ),
    "failed": WordStyle(fill=_RED),
    words.DEFERRED: WordStyle(weight=700, terminal="magenta", fill="rgba(230, 159, 0, 0.3)"),
    words.UNDECIDED: WordStyle("#CC79A7", "-", fill="rgba(204, 121, 167, 0.25)"),
    **dict.fromkeys(words.CLEAN, WordStyle(weight=400, fill="rgba(0, 158, 115, 0.22)")),
    "reproduced": WordStyle("#0072B2"),
    "partly": WordStyle("#56B4E9", "/"),
    words.NOT_REPRODUCED: WordStyle("#8C8C8C", "."),
    words.HOLDS: WordStyle("#009E73", weight=400),
    "insufficient": WordStyle("#B8860B", "/"),
    "harmful": WordStyle("#D55E00", "x"),
}


def word_style(word: str) -> WordStyle:
    """Return how a verdict word or an outcome is drawn; one without a row as plain text."""
    return WORDS.get(word, WordStyle())


def letters_on(colour: str) -> str:
    """Return white or nearly black, whichever has the higher contrast on a colour."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    # Relative luminance of WCAG with its exponent rounded; both contrasts are equal near 0.18.
    luminance = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    return "#FFFFFF" if luminance < 0.18 else LETTERS


def with_glyph(word: str) -> str:
    """Return a word behind its glyph, if it has one."""
    return f"{words.GLYPHS[word]} {word}" if word in words.GLYPHS else word


#: Light enough for black letters, and apart from each other: the largest modules, then the rest.
MODULES = ("#E69F00", "#56B4E9", "#2FB792", "#F0E442", "#D79BBB", "#8FA8F0", "#C3A06B")


def marks(variants: Iterable[str]) -> dict[str, Mark]:
    """Return a mark for each variant, in drawing order: its own for the usual three."""
    spare = cycle(OTHERS)
    return {name: VARIANTS.get(name) or next(spare) for name in variants}


def order(variants: Iterable[str]) -> list[str]:
    """Return each name once, in reading order: leaky, proposed, fixed, then the rest."""
    return sorted(dict.fromkeys(variants), key=lambda name: [*VARIANTS, name].index(name))
