"""What is asked first of every opened capture, so that it need not be worked out again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resleak.figures.flame.payload import drawing
from resleak.stacks.growth import growths, ranking
from resleak.stacks.windows import layout

if TYPE_CHECKING:
    from resleak.stacks.foreign import Tables


def of(tables: Tables) -> dict[str, Any]:
    """Return what ranks the lines, ``sites``, and what draws them, ``drawing``, ready for JSON."""
    found = growths([tables])
    sites = {name: values.tolist() for name, values in ranking(found).items()}
    return {
        "sites": {"captures": len(found), "columns": sites},
        "drawing": drawing([layout([tables])])[0],
    }
