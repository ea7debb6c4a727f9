"""The stored captures, judged today, are what their scenarios, the register and the README say."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pandas as pd
import pytest
from helpers import stored

from resleak.analysis import claims_table
from resleak.experiments import node_checks
from resleak.workload import catalog

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Judge all stored captures."""
    return claims_table.judged(stored.CAPTURES)


def test_every_scenario_is_stored_and_comes_out_as_declared(table: pd.DataFrame) -> None:
    """Each scenario and each check in Node has a row; verdicts, claim and fix are as declared."""
    assert set(table["scenario"]) == {*catalog.paths(), *node_checks.paths()}
    assert list(table.loc[~table["ok"], "scenario"]) == []


def test_a_constructed_fault_is_said_to_be_one_and_never_reproduced(table: pd.DataFrame) -> None:
    """A row whose fault is in a part of ours says so first, and is partly at most."""
    constructed = table["origin"] == "constructed"
    assert list(constructed) == list(table["condition"].str.startswith("constructed:"))
    assert set(table.loc[constructed, "outcome"]) == {"partly"}


def test_the_register_is_what_the_captures_say(table: pd.DataFrame) -> None:
    """Every outcome and figure is judged from data/captures, and the README has the result."""
    script = runpy.run_path(str(ROOT / "docs" / "register.py"))
    register = script["register"](table)
    assert script["PAGE"].read_text(encoding="utf-8") == script["HEAD"] + register
    kept = json.loads((stored.CAPTURES / claims_table.REGISTER).read_text(encoding="utf-8"))
    assert kept == claims_table.plain(table)
    (result,) = script["RESULT"].findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert result.splitlines() == register.splitlines()[:2]
