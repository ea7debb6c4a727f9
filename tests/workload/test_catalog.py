"""Finding scenarios, and saying what is wrong with a file or with a row of the register."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest

from resleak.errors import ScenarioError
from resleak.workload import catalog
from resleak.workload.scenario import Scenario

GOOD = '''
"""A title.

The rest.
"""
from resleak import Scenario

scenario = Scenario()

@scenario.variant()
def control(step, world): pass
'''


ROW: dict[str, Any] = {
    **{"seed": "003#1", "claim": "it leaks", "outcome": "reproduced", "fix": "holds"},
    **{"condition": "always", "language": "Python", "params": {"callers": 1, "timeout_s": 9}},
}
CODE: dict[str, Any] = {"origin": "document code"}


def file(folder: Path, body: str, name: str = "work.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(body).lstrip())
    return path


def test_one_file_dropped_in_is_one_more_scenario(tmp_path: Path) -> None:
    """Adding a scenario touches exactly one file: it is found by its place and named by it."""
    root = tmp_path / "scenarios"
    shutil.copytree(catalog.ROOT, root)
    before = set(catalog.paths(root))
    file(root, GOOD, "arc/one_more.py")
    assert set(catalog.paths(root)) - before == {"arc/one_more"}
    found = catalog.load(catalog.locate("arc/one_more", root))
    assert (found.name, found.system, found.title) == ("arc/one_more", "arc", "A title.")


def test_helpers_are_no_scenarios(tmp_path: Path) -> None:
    """A file whose name starts with an underscore is passed over."""
    file(tmp_path, GOOD, "arc/_helper.py")
    assert catalog.paths(tmp_path) == {}


def test_last_part_of_a_name_is_enough(tmp_path: Path) -> None:
    """A scenario is found by the last part of its name while only one has it."""
    root = tmp_path / "scenarios"
    file(root, GOOD, "arc/cache.py")
    assert catalog.locate("cache", root) == root / "arc/cache.py"
    file(root, GOOD, "other/cache.py")
    with pytest.raises(ScenarioError, match="arc/cache"):
        catalog.locate("cache", root)


def test_unknown_name_suggests_the_closest() -> None:
    """A misspelt name gets the name that was probably meant."""
    with pytest.raises(ScenarioError, match="did you mean arc/auth_cache"):
        catalog.locate("arc/auth_cach")


def test_missing_file_is_told() -> None:
    """A path that does not exist is an error of one line."""
    with pytest.raises(ScenarioError, match=r"there is no file nowhere\.py"):
        catalog.locate("nowhere.py")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("x = 1", "needs step"),
        ("def step(i: pass", "cannot be imported: SyntaxError"),
        ("import no_such_module", "cannot be imported: ModuleNotFoundError"),
        (GOOD + "\nother = Scenario()", "declares 2 scenarios"),
        ("from resleak import Scenario\ns = Scenario()", "has no variant"),
        ("from resleak import Scenario\ns = Scenario(claim='x')", "needs an outcome"),
        ("from resleak import Scenario\ns = Scenario(fix='better')", "must be one of: holds"),
        (GOOD.replace("Scenario()", "Scenario(claim='x', outcome='partly')"), "named 'leaky'"),
        (GOOD + "\nscenario.variant('control')(control)", "declared twice"),
        ("from resleak import Limit\nLimit('fds')", "exactly one of"),
    ],
)
def test_malformed_file_fails_with_its_path(tmp_path: Path, body: str, told: str) -> None:
    """A malformed file is an error with its path and what is missing."""
    path = file(tmp_path, body)
    with pytest.raises(ScenarioError, match=told) as caught:
        catalog.load(path)
    assert str(path) in str(caught.value)


def test_scenario_of_the_house_needs_a_docstring(tmp_path: Path) -> None:
    """The first line of the docstring is the title, so a file of the catalog must have one."""
    path = file(tmp_path, GOOD.split('"""')[2], "scenarios/arc/bare.py")
    with pytest.raises(ScenarioError, match="no docstring"):
        catalog.load(path)


def test_decorated_step_is_a_scenario(tmp_path: Path) -> None:
    """`@scenario` turns one function into a scenario with the variant `workload`."""
    bare = "from resleak import scenario\n@scenario\ndef work(i, world): pass"
    assert list(catalog.load(file(tmp_path, bare)).variants) == ["workload"]
    given = "from resleak import scenario\n@scenario(steps=7)\ndef work(i, world): pass"
    assert catalog.load(file(tmp_path, given)).steps == 7


def test_variants_are_told_in_their_order(tmp_path: Path) -> None:
    """Leaky comes first, then proposed, then fixed, whatever the order in the file."""
    names = ("fixed", "proposed", "leaky_later", "leaky")
    body = GOOD + "".join(f"\nscenario.variant({name!r})(control)" for name in names)
    found = list(catalog.load(file(tmp_path, body)).variants)
    assert found == ["leaky", "leaky_later", "proposed", "fixed", "control"]


def step(_number: int) -> None:
    """Do nothing."""


def row(variants: dict[str, dict[str, Any]] | None = None, **changes: Any) -> Scenario:
    """Return a sound row of the register with some changes."""
    scenario = Scenario(**{**ROW, **changes})
    for name, options in (
        {"leaky": CODE, "proposed": CODE} if variants is None else variants
    ).items():
        scenario.variant(name, **options)(step)
    return scenario


def problem(scenario: Scenario) -> str:
    """Return the first thing that a row lacks; empty if nothing."""
    return next(catalog.claim_problems(scenario), "")


def test_a_sound_row_has_no_problem() -> None:
    """A claim with language, condition, the document's code and the same load is accepted."""
    assert problem(row()) == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"language": ""}, "needs the language"), ({"condition": ""}, "needs the condition")],
)
def test_a_row_without_language_or_condition_is_rejected(
    changes: dict[str, str], told: str
) -> None:
    """What a reader needs to judge the row is not optional."""
    assert told in problem(row(**changes))


@pytest.mark.parametrize(
    ("variants", "changes", "told"),
    [
        ({"leaky": {}, "proposed": CODE}, {}, "needs a leaky variant from its code or words"),
        ({"leaky": CODE, "proposed": {}}, {}, "call another fix fixed"),
        ({"leaky": CODE, "fixed": {}}, {}, "does not propose gets no verdict"),
        ({"leaky": CODE, "proposed": {"origin": "constructed"}}, {}, "call another fix fixed"),
        ({"leaky": CODE, "proposed": CODE}, {"fix": None}, "a proposed fix needs a verdict"),
        ({"leaky": CODE}, {}, "does not propose gets no verdict"),
    ],
)
def test_a_verdict_needs_the_document_behind_it(
    variants: dict[str, dict[str, Any]], changes: dict[str, Any], told: str
) -> None:
    """Claims and fixes of a document are judged by its code or words, and no others."""
    assert told in problem(row(variants, **changes))


def test_a_constructed_fault_may_decide_a_claim() -> None:
    """A part that the document does not describe may carry the fault; the row then says so."""
    constructed = {"leaky": {"origin": "constructed"}, "proposed": CODE}
    assert problem(row(constructed, condition="constructed: a lock")) == ""
    assert "begins with 'constructed:'" in problem(row(constructed))
    assert "begins with 'constructed:'" in problem(row(condition="constructed: a lock"))


def test_our_own_finding_needs_no_document() -> None:
    """A finding of ours may run code of ours; it then has no verdict on a fix."""
    assert problem(row({"leaky": {}}, claimed_by="ours", fix=None)) == ""


def test_a_fix_runs_under_the_load_of_the_fault() -> None:
    """Parameters of the deciding fix may differ from those of leaky only where they are the fix."""
    variants = {"leaky": CODE, "proposed": {**CODE, "callers": 10, "timeout_s": 1}}
    assert "another load than leaky: callers, timeout_s" in problem(row(variants))
    told = problem(row(variants, fix_params=["timeout_s"]))
    assert told.endswith("another load than leaky: callers")
    harsher = {"leaky": CODE, "proposed": CODE, "proposed_at_once": {"callers": 10}}
    assert problem(row(harsher)) == ""


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Scenario().variant("leaky", origin="hearsay")(step),
        lambda: Scenario(claimed_by="nobody"),
        lambda: Scenario(fix_params=["unknown"]),
    ],
)
def test_other_words_are_refused(declare: Any) -> None:
    """An origin or a claimant that is none of the words is an error where it is declared."""
    with pytest.raises(ScenarioError):
        declare()


def test_what_is_not_in_the_register_needs_nothing() -> None:
    """A user's own file, without a source document, is left alone."""
    assert problem(Scenario()) == ""
