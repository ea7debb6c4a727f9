"""The register of claims in docs/ and its result in the README are what the captures say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_register_is_what_the_captures_say() -> None:
    """Every outcome and figure is judged from data/captures, and the README has the result."""
    script = runpy.run_path(str(ROOT / "docs" / "register.py"))
    register = script["register"]()
    assert script["PAGE"].read_text(encoding="utf-8") == script["HEAD"] + register
    (result,) = script["RESULT"].findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert result.splitlines() == register.splitlines()[:1]
