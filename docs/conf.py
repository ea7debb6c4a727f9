"""Settings of the documentation: `make docs` builds it, and executes nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import resleak  # noqa: E402

project = "resleak"
version = release = resleak.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Pages that begin with an underscore are written below, and included in others.
exclude_patterns = ["_*", "**/_*"]
html_theme = "furo"
html_title = "resleak"
html_static_path: list[str] = []
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
napoleon_google_docstring = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
# JSON with comments, and consoles with a leak in them, are no errors.
suppress_warnings = ["misc.highlighting_failure"]


def _write_pages(_app: Any) -> None:
    import _generated

    _generated.write(HERE)


def _follow_links(app: Any, doctree: Any) -> None:
    """Lead links to notebooks to the gallery; show other files of the repository as text."""
    from docutils import nodes
    from sphinx import addnodes

    up = "../" * app.env.docname.count("/")
    for node in list(doctree.findall(addnodes.download_reference)):
        target, text = Path(node["reftarget"]), node.astext()
        if target.suffix == ".ipynb":
            uri = f"{up}gallery/{target.stem}.html"
            node.replace_self(nodes.reference(text, text, refuri=uri))
        elif target.suffix != ".json":
            node.replace_self(nodes.inline(text, text))


def setup(app: Any) -> None:
    """Connect what is written from the package itself."""
    app.connect("builder-inited", _write_pages)
    app.connect("doctree-read", _follow_links, priority=400)  # before files are collected
