"""Render a notebook as one HTML page: sanitized, escaped, with a content policy."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]

from resleak.captures import archive
from resleak.captures.files import to_json
from resleak.figures.flame import page as flame
from resleak.figures.plotly_bundle import plotlyjs
from resleak.figures.sentences import code
from resleak.figures.style import CONFIG
from resleak.report import page_parts, summary
from resleak.report.sanitize import clean
from resleak.report.summary import Finding

_PLOTLY = "application/vnd.plotly.v1+json"
#: What the output of a flame graph is called in a notebook.
FLAME = "application/vnd.resleak.flame+json"
#: Escape sequences of a terminal.
_ESCAPES = re.compile(r"\x1b\[.*?[@-~]")
_USUAL_HEIGHT, _MAX_HEIGHT = 450, 20_000
#: Most characters of white space in a row, and of a line, in source that is coloured.
_BLANKS, _LINE = 100, 400
#: Parts of a figure that plotly.js draws.
_DRAWN = ("data", "layout", "frames")
#: Facts of the footer that also belong in an issue.
_ISSUE_FACTS = ("Measured on", "Packages", "Run again")


@dataclass(frozen=True)
class Page:
    """A notebook as one self-contained page."""

    #: An executed notebook, redacted.
    book: Any
    #: Facts in the footer.
    provenance: Sequence[tuple[str, str]] = ()
    #: Replaces the notebook's own title.
    title: str = ""
    findings: Sequence[Finding] = ()
    #: Captures, packed by `resleak.captures.pack`.
    archive: str = ""
    #: Addresses of relative links.
    links: Mapping[str, str] | None = None
    #: Show only the outputs.
    alone: bool = False

    def html(self) -> str:
        """Return the page, with each drawing script once and only where it is needed."""
        from jinja2 import Environment, FileSystemLoader

        environment = Environment(loader=FileSystemLoader(page_parts.TEMPLATES), autoescape=True)
        environment.filters |= {
            "clean": lambda html: clean(html, self.links),
            "markdown": _markdown,
            "highlight": _highlight,
            "flame": flame.place,
            "figure_label": _figure_label,
            "figure_height": _figure_height,
            "base64_only": lambda text: re.sub(r"[^A-Za-z0-9+/=]", "", text),
            "image": lambda svg: (
                f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
            ),
            "plain": lambda text: _ESCAPES.sub("", text),
        }
        template = environment.get_template("index.html.j2")
        return template.render(cells=self.book.cells, page=self, **self._parts())

    def markdown(self) -> str:
        """Return the summary as Markdown for an issue."""
        facts = {name: value for name, value in self.provenance if name in _ISSUE_FACTS}
        if "Run again" in facts:
            facts["Run again"] = code(facts["Run again"])
        title, lead = (self.title, "") if self.title else title_and_lead(self.book)
        return summary.markdown(title, lead, self.findings, facts)

    def _parts(self) -> dict[str, Any]:
        outputs = [out for c in self.book.cells for out in c.get("outputs", [])]
        plots = [out["data"][_PLOTLY] for out in outputs if _PLOTLY in out.get("data", {})]
        scripts = [page_parts.template("theme.js") + page_parts.template("page.js")]
        if any(FLAME in out.get("data", {}) for out in outputs):
            scripts.append(flame.script())
        packed, allowed = [], [*scripts]
        if plots:  # figures and their library, compressed to a fifth
            kinds = {str(trace.get("type", "scatter")) for plot in plots for trace in plot["data"]}
            library = plotlyjs(kinds)
            drawn = [{key: plot[key] for key in _DRAWN if key in plot} for plot in plots]
            figures = json.dumps(to_json(drawn), ensure_ascii=False, separators=(",", ":"))
            packed = [("figures", gzip.compress(figures.encode(), mtime=0)), ("plotly", library)]
            allowed.append(gzip.decompress(library).decode())
        return {
            "title": self.title or title_and_lead(self.book)[0],
            "style": _style(),
            "scripts": scripts,
            "packed": [(name, base64.b64encode(data).decode()) for name, data in packed],
            "config": json.dumps(CONFIG) if plots else "",
            "policy": page_parts.policy(allowed),
            "brief": summary.html(self.findings),
            "summary": self.markdown() if self.findings else "",
            "archive": archive.script(self.archive),
        }


def _markdown(source: str, attachments: Any) -> str:
    # Loading nbconvert takes longer than all that a page of outputs needs.
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    renderer = IPythonRenderer(
        escape=False, attachments=attachments or {}, exclude_anchor_links=True
    )
    return str(MarkdownWithMath(renderer=renderer).render(source))


def _highlight(source: str) -> str:
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]

    # The time of the lexer grows with the square of the length of these.
    is_usual = all(len(run) <= _BLANKS for run in re.findall(r"\s+", source))
    is_usual = is_usual and all(len(line) <= _LINE for line in source.splitlines())
    lexer = get_lexer_by_name("ipython3" if is_usual else "text")
    return str(highlight(source, lexer, HtmlFormatter()))


def label(data: Mapping[str, Any]) -> str:
    """Return the title of a figure among outputs; empty if there is no figure."""
    if _PLOTLY in data:
        return _figure_label(data[_PLOTLY]).strip() or "figure"
    return str(dict(data[FLAME]).get("title") or "flame graph") if FLAME in data else ""


def drop_damaged_figure(data: dict[str, Any]) -> None:
    """Remove a figure of anyone's notebook that is not a figure of plotly."""
    figure = data.get(_PLOTLY)
    is_drawable = (
        isinstance(figure, dict)
        and isinstance(figure.get("layout", {}), dict)
        and isinstance(figure.get("data"), list)
        and all(isinstance(trace, dict) for trace in figure["data"])
    )
    if not is_drawable and data.pop(_PLOTLY, None) is not None:
        data.setdefault("text/plain", "damaged figure")


def _figure_label(figure: Mapping[str, Any]) -> str:
    title = figure.get("layout", {}).get("title") or "figure"
    text = title.get("text") or "figure" if isinstance(title, Mapping) else title
    return re.sub(r"<[^>]*>", " ", str(text))


def _figure_height(figure: Mapping[str, Any]) -> int:
    height = figure.get("layout", {}).get("height")
    is_number = isinstance(height, (int, float)) and 0 < height < _MAX_HEIGHT
    return int(height) if is_number else _USUAL_HEIGHT


def title_and_lead(book: Any) -> tuple[str, str]:
    """Return a notebook's title and the first paragraph below it."""
    texts = (c.source.strip() for c in book.cells if c.cell_type == "markdown")
    first = next((text for text in texts if text.startswith("# ")), "# Report")
    title, _, rest = first.partition("\n")
    return title.lstrip("# ").strip(), str(rest.strip().split("\n\n")[0])


def _style() -> str:
    light, dark = (
        HtmlFormatter(style=name, nobackground=True).get_style_defs(".highlight")
        for name in ("default", "github-dark")
    )
    # A style sheet below a selector is nested in it.
    asked = f'@media screen {{ :root[data-theme="dark"] {{ {dark} }} }}'
    usual = f":root:not([data-theme]) {{ {dark} }}"
    system = f"@media screen and (prefers-color-scheme: dark) {{ {usual} }}"
    return f"{page_parts.template('style.css')}\n{light}\n{asked}\n{system}\n"
