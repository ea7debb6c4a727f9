"""plotly.js for pages without a network: the small build where it suffices."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from importlib.resources import files

#: Trace types of the basic build of plotly.js; a trace without a type is a scatter.
BASIC = frozenset({"bar", "pie", "scatter"})
_NAME = "plotly-basic-{version}.min.js.gz"


def plotlyjs(kinds: Iterable[str]) -> bytes:
    """Return a gzipped build of plotly.js that draws these trace types.

    The basic build (0.4 MB) if it does and is of plotly's version; else the whole (1.5 MB).
    """
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    basic = files(__package__).joinpath(_NAME.format(version=get_plotlyjs_version()))
    if BASIC.issuperset(kinds) and basic.is_file():
        return basic.read_bytes()
    return gzip.compress(str(get_plotlyjs()).encode(), mtime=0)
