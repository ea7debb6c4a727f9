"""plotly.js for pages without a network: the small build where it suffices."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from importlib.resources import files

#: Trace types of the basic build of plotly.js; a trace without a type is a scatter.
BASIC = frozenset({"bar", "pie", "scatter"})


def plotlyjs(kinds: Iterable[str]) -> bytes:
    """Return a gzipped plotly.js that draws these trace types: the basic build if it does."""
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    # The basic build has 0.4 MB, the whole 1.5 MB.
    basic = files(__package__) / f"plotly-basic-{get_plotlyjs_version()}.min.js.gz"
    if BASIC.issuperset(kinds) and basic.is_file():
        return basic.read_bytes()
    return gzip.compress(str(get_plotlyjs()).encode(), mtime=0)
