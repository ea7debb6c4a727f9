"""A push leaves out only scenarios whose code is that of their stored captures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import conftest
import pytest
from helpers import stored

from resleak.captures import archive, pack, storage
from resleak.workload import catalog
from resleak.workload.digest import digest
from resleak.workload.verdict_words import BROKEN, HANGS, SCALES

NAME = "arc/pool_size"


def test_each_system_and_each_outcome_runs_on_every_push() -> None:
    """The scenarios of every push are of every system, and declare every word that there is."""
    always = [stored.scenario(name) for name in sorted(stored.ALWAYS)]
    expected = [text for one in always for v in one.variants.values() for text in v.expect.values()]
    words = {word.strip() for text in expected for word in text.split(",")}
    assert {one.system for one in always} == {name.split("/")[0] for name in catalog.paths()}
    assert words == {"leak", "deferred", BROKEN, HANGS, SCALES}
    assert any(one.stacks for one in always)
    assert any(one.audit_function for one in always)


@pytest.mark.parametrize(("value", "waits"), [(digest(catalog.paths()[NAME]), True), ("x", False)])
def test_a_scenario_whose_code_has_changed_runs(
    value: str, waits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scenario waits for the night if its captures have the digest of its code, else not."""
    folders = storage.folders(stored.CAPTURES / NAME)
    pack.write(tmp_path / NAME / archive.NAME, folders, lambda one: replace(one, digest=value))
    monkeypatch.setattr(stored, "CAPTURES", tmp_path)
    stored.manifests.cache_clear()
    assert bool(stored.marks(NAME)) == waits
    stored.manifests.cache_clear()


def test_the_order_names_files_that_exist() -> None:
    """Each file that starts early, or is handed out test by test, is there."""
    stems = {path.stem for path in Path(__file__).parent.rglob("test_*.py")}
    assert stems >= conftest.TEST_BY_TEST | set(conftest.LONGEST)
