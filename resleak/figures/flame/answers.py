"""What is asked first of every opened capture, so that it need not be worked out again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resleak.analysis.stacks.allocation_sites import growths, ranking
from resleak.analysis.stacks.profiles import layout
from resleak.figures.flame.payload import drawing

if TYPE_CHECKING:
    from resleak.captures.decode.any_program import Tables


def of(tables: Tables) -> dict[str, Any]:
    """Return what ranks the lines, ``sites``, and what draws them, ``drawing``, ready for JSON."""
    found = growths([tables])
    sites = {name: values.tolist() for name, values in ranking(found).items()}
    return {
        "sites": {"captures": len(found), "columns": sites},
        "drawing": drawing([layout([tables])])[0],
    }
