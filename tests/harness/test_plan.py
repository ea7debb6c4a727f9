"""Parameters from the command line become what the scenario expects, or are refused."""

from __future__ import annotations

from typing import Any

import pytest

from resleak.errors import ScenarioError
from resleak.harness.plan import parameters

DECLARED: dict[str, Any] = {
    "name": "made/up",
    "params": {"sizes": (1, 2), "steps": [3], "on": True, "rate": 0.5},
    "variants": {"leaky": {"params": {}}},
}


def test_lists_are_read_as_lists() -> None:
    """A list of numbers given as text stays a list of numbers, of the default's own kind."""
    given = {"sizes": "[125, 1000]", "steps": "(4, 5)", "on": "false", "rate": "2"}
    found = parameters(DECLARED, "leaky", given)
    assert found == {"sizes": (125, 1000), "steps": [4, 5], "on": False, "rate": 2.0}


@pytest.mark.parametrize("given", ["125", "1, 2, x", "[1", ""])
def test_what_is_no_list_is_refused(given: str) -> None:
    """Text that is no list is refused, not taken apart into its characters."""
    with pytest.raises(ScenarioError, match="sizes takes a list"):
        parameters(DECLARED, "leaky", {"sizes": given})
