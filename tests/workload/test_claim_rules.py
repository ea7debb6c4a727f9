"""A row of the register says whose code ran, in which language, and under which condition."""

from __future__ import annotations

from typing import Any

import pytest

from resleak.errors import ScenarioError
from resleak.workload import claim_rules
from resleak.workload.scenario import Scenario

ROW: dict[str, Any] = {
    **{"seed": "003#1", "claim": "it leaks", "outcome": "reproduced", "fix": "holds"},
    **{"condition": "always", "language": "Python", "params": {"callers": 1, "timeout_s": 9}},
}
CODE: dict[str, Any] = {"origin": "document code"}


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


def test_a_sound_row_has_no_problem() -> None:
    """A claim with language, condition, the document's code and the same load is accepted."""
    assert claim_rules.problem(row()) == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"language": ""}, "needs the language"), ({"condition": ""}, "needs the condition")],
)
def test_a_row_without_language_or_condition_is_rejected(
    changes: dict[str, str], told: str
) -> None:
    """What a reader needs to judge the row is not optional."""
    assert told in claim_rules.problem(row(**changes))


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
    assert told in claim_rules.problem(row(variants, **changes))


def test_a_constructed_fault_may_decide_a_claim() -> None:
    """A part that the document does not describe may carry the fault; the row then says so."""
    constructed = {"leaky": {"origin": "constructed"}, "proposed": CODE}
    assert claim_rules.problem(row(constructed, condition="constructed: a lock")) == ""
    assert "begins with 'constructed:'" in claim_rules.problem(row(constructed))
    assert "begins with 'constructed:'" in claim_rules.problem(row(condition="constructed: a lock"))


def test_our_own_finding_needs_no_document() -> None:
    """A finding of ours may run code of ours; it then has no verdict on a fix."""
    assert claim_rules.problem(row({"leaky": {}}, claimed_by="ours", fix=None)) == ""


def test_a_fix_runs_under_the_load_of_the_fault() -> None:
    """Parameters of the deciding fix may differ from those of leaky only where they are the fix."""
    variants = {"leaky": CODE, "proposed": {**CODE, "callers": 10, "timeout_s": 1}}
    assert "another load than leaky: callers, timeout_s" in claim_rules.problem(row(variants))
    problem = claim_rules.problem(row(variants, fix_params=["timeout_s"]))
    assert problem.endswith("another load than leaky: callers")
    harsher = {"leaky": CODE, "proposed": CODE, "proposed_at_once": {"callers": 10}}
    assert claim_rules.problem(row(harsher)) == ""


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
    assert claim_rules.problem(Scenario()) == ""
