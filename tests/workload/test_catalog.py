"""Finding scenarios, and saying what is wrong with a file that is none."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import pytest

from resleak.errors import ScenarioError
from resleak.workload import catalog

GOOD = '''
"""A title.

The rest.
"""
from resleak import Scenario

scenario = Scenario()

@scenario.variant()
def control(step, world): pass
'''


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
    found = catalog.find("arc/one_more", root)
    assert (found.name, found.system, found.title) == ("arc/one_more", "arc", "A title.")


def test_helpers_are_no_scenarios(tmp_path: Path) -> None:
    """A file whose name starts with an underscore is passed over."""
    file(tmp_path, GOOD, "arc/_helper.py")
    assert catalog.paths(tmp_path) == {}


def test_last_part_of_a_name_is_enough(tmp_path: Path) -> None:
    """A scenario is found by the last part of its name while only one has it."""
    root = tmp_path / "scenarios"
    file(root, GOOD, "arc/cache.py")
    assert catalog.find("cache", root).name == "arc/cache"
    file(root, GOOD, "other/cache.py")
    with pytest.raises(ScenarioError, match="arc/cache"):
        catalog.find("cache", root)


def test_unknown_name_suggests_the_closest() -> None:
    """A misspelt name gets the name that was probably meant."""
    with pytest.raises(ScenarioError, match="did you mean arc/auth_cache"):
        catalog.find("arc/auth_cach")


def test_missing_file_is_told() -> None:
    """A path that does not exist is an error of one line."""
    with pytest.raises(ScenarioError, match=r"there is no file nowhere\.py"):
        catalog.find("nowhere.py")


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
