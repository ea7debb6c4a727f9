"""Parameters from the command line become what the scenario expects, or are refused."""

from __future__ import annotations

from typing import Any

import pytest

from resleak.errors import ScenarioError
from resleak.harness.plan import CaptureOptions, parameter, parameters

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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 10**23}, "steps must be at most 1,000,000"),
        ({"steps": 10**5000}, "steps must be at most 1,000,000"),
        ({"steps": -1}, "steps must be at least 1, not -1"),
        ({"runs": -1}, "runs must be at least 0"),
        ({"parallel": 0}, "parallel must be at least 1"),
        ({"deadline_s": float("nan")}, "deadline_s must be at least 0.001, not nan"),
        ({"deadline_s": float("inf")}, "deadline_s must be at most"),
        ({"deadline_s": -5.0}, "deadline_s must be at least 0.001, not -5"),
        ({"plant": float("nan")}, "plant must be at least 0, not nan"),
        ({"profile": "slow"}, "there is no profile 'slow'; choose quick, full, soak"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    """An option that makes no sense is refused in one line, before anything runs."""
    with pytest.raises(ScenarioError) as error:
        CaptureOptions(**options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_steps_follow_from_the_profile() -> None:
    """A profile multiplies the declared steps; the warm-up is never longer than the load."""
    declared = {"steps": 240, "warmup": 60}
    assert CaptureOptions(profile="soak").measured_steps(declared) == 4800
    assert CaptureOptions(steps=20).warmup_steps(declared) == 20
    assert CaptureOptions().warmup_steps(declared) == 60


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [(None, "5", 5), (None, "text", "text"), (1.5, "2", 2.0), ("a", "5", "5"), ((1,), "[2]", (2,))],
)
def test_a_parameter_has_the_type_of_its_default(default: Any, text: str, value: Any) -> None:
    """Text from a command line or a form becomes a value of the default's type."""
    assert parameter("x", default, text) == value


@pytest.mark.parametrize(
    ("default", "text"), [((1,), "1"), (3, "\udcff"), ("a", "\udcff"), (1, "9" * 5000)]
)
def test_text_that_is_no_value_is_refused(default: Any, text: str) -> None:
    """Text of another type, or that is not Unicode, is refused in one line."""
    with pytest.raises(ScenarioError, match="the parameter x takes"):
        parameter("x", default, text)
