"""The register of claims in the README is what the stored captures say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_readme_tells_what_the_captures_tell() -> None:
    """Every outcome and every figure in the README is judged from data/captures as they are."""
    made = runpy.run_path(str(ROOT / "docs" / "register.py"))
    (block,) = made["BLOCK"].findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert block.splitlines() == made["register"]().splitlines()
