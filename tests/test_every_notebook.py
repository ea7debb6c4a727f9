"""Every notebook in the folder keeps to the pattern, and what it says is true when it runs."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path
from typing import Any

import pytest
from helpers import stored

from resleak.report import html_page, share
from resleak.workload import catalog

FOLDER = Path(__file__).parent.parent / "notebooks"
#: The script that stores outputs.
STORING = runpy.run_path(str(FOLDER.parent / "docs" / "notebooks.py"))
FIGURES = ("application/vnd.plotly.v1+json", html_page.FLAME)

every_notebook = pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem
)

#: Made like 24_sse_streaming, which is executed on every push.
LATER = {"20_pl_drivers", "21_embedder", "22_load_shedding", "23_arc"}


def test_there_are_notebooks():
    """The folder holds a start, the catalogue, the template for any scenario, and five cases."""
    names = {path.stem for path in FOLDER.glob("*.ipynb")}
    assert {"00_start_here", "01_catalogue", "10_investigate"} <= names
    assert len([name for name in names if name.startswith("2")]) == 5


def code(book: Any) -> list[Any]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


@every_notebook
def test_the_title_is_a_question_with_its_answer_below(path):
    """The first cell asks, and answers before any code is seen."""
    first = share.read(path).cells[0]
    title, _, answer = first.source.partition("\n")
    assert first.cell_type == "markdown"
    assert title.startswith("# ")
    assert title.endswith("?")
    assert len(answer.split()) > 15


@every_notebook
def test_parameters_are_literals_in_a_cell_of_their_own(path):
    """One cell is tagged ``parameters``, comes second and assigns nothing but plain values."""
    cells = share.read(path).cells
    tagged = [i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == [1]
    statements = ast.parse(cells[1].source).body
    values = {s.targets[0].id: ast.literal_eval(s.value) for s in statements}  # type: ignore[attr-defined]
    assert values["CAPTURES"] == "../data/captures"
    assert values["FRESH"] is False


@every_notebook
def test_cells_are_short_and_define_nothing(path):
    """Besides imports a cell has at most three lines, and no function or class."""
    _parameters, *others = code(share.read(path))
    for cell in others:
        tree = ast.parse(cell.source)
        imports = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
        lines = [line for line in cell.source.splitlines() if line.strip()]
        nodes = {type(node) for node in ast.walk(tree)}
        assert 1 <= len(lines) <= 3 + len(imports), cell.source
        assert not nodes & {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda}


@every_notebook
def test_the_length_is_that_of_a_short_story(path):
    """A notebook has 14 to 21 cells, and says which gauge is the control."""
    book = share.read(path)
    told = " ".join(cell.source for cell in book.cells)
    assert 14 <= len(book.cells) <= 21
    assert "control" in told or "figures.expectation" in told


@every_notebook
def test_outputs_are_stored_and_not_stale(path):
    """What is committed has outputs of these cells and captures; `make notebooks` makes them."""
    book = share.read(path)
    assert book.metadata.get("resleak", {}).get("digest") == STORING["digest"](book)
    assert sum(len(cell.outputs) for cell in code(book)) >= 3


@every_notebook
def test_what_is_stored_can_be_read_without_scripts(path):
    """Each figure has a picture, each output a text; no script, no path of a machine is stored."""
    text = path.read_text(encoding="utf-8")
    outputs = [out.data for cell in code(share.read(path)) for out in cell.outputs if "data" in out]
    for data in outputs:
        assert data["text/plain"]
        if set(FIGURES) & set(data) and not is_empty(data):
            assert data["image/svg+xml"].startswith("<svg")
    assert "<script" not in text
    assert str(FOLDER.parent) not in text
    assert path.stat().st_size <= 400_000


def is_empty(data: Any) -> bool:
    """Return whether a flame graph says in words why there is nothing to draw."""
    return bool(data.get(html_page.FLAME, {}).get("empty"))


def test_all_notebooks_together_are_small():
    """They take at most 4 MB with their outputs."""
    assert sum(path.stat().st_size for path in FOLDER.glob("*.ipynb")) <= 4_000_000


@every_notebook
def test_readers_come_first(path):
    """No cell checks anything: what the text says is checked by a file of tests/notebook_checks."""
    for cell in code(share.read(path)):
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source)))
    checks = ast.parse((STORING["CHECKS"] / f"{path.stem}.py").read_text(encoding="utf-8"))
    assert any(isinstance(node, ast.Assert) for node in checks.body)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.nightly] if path.stem in LATER else [], id=path.stem)
        for path in sorted(FOLDER.glob("*.ipynb"))
    ],
)
def test_it_runs_and_draws(path):
    """Executed on the stored captures, every cell succeeds, and what the text says is true."""
    book = share.read(path)
    STORING["execute"](book, path)
    kinds = [kind for cell in code(book) for out in cell.outputs for kind in out.get("data", {})]
    assert sum(map(kinds.count, FIGURES)) >= 2
    assert "text/html" in kinds


def evidence(name: str) -> tuple[bool, ...]:
    """Return whether a stored scenario has limits, sweeps, a claim and stacks to show."""
    scenario = stored.manifests(name)[0]["scenario"]
    return tuple(bool(scenario[key]) for key in ("limits", "sweeps", "claim", "stacks"))


#: The first scenario of each kind, by what there is to show of it.
KINDS = {evidence(name): name for name in sorted(catalog.paths(), reverse=True)}
#: Two that have, between them, all that there can be: on every push.
RICHEST = ((True, True, True, False), (True, False, True, True))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if kind in RICHEST else pytest.mark.nightly)
        for kind, name in KINDS.items()
    ],
)
def test_investigate_fits_every_kind_of_scenario(name, tmp_path):
    """The template runs, and its report is written, for each kind of evidence there is."""
    assert set(RICHEST) < set(KINDS)
    out = tmp_path / "report.html"
    share.share(FOLDER / "10_investigate.ipynb", out, {"SCENARIO": name})
    assert name in out.read_text(encoding="utf-8")
