"""The register of claims, from made-up captures with known answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import captures
from helpers import traces as made

from resleak import figures
from resleak.analysis import claims_table
from resleak.captures import load
from resleak.captures.node_results import NodeResult
from resleak.errors import StoreError
from resleak.workload.scenario import Limit, Scenario, Sweep

FLAT = made.trace(made.flat, gauge="fds")
LEAK = made.trace(made.ramp(2.0), gauge="fds")
WAITS = made.trace(made.flat, gauge="fds", waiting=1.0)
CLAIM: dict[str, Any] = {
    "claim": "descriptors | leak",
    "symptoms": {"fds": "leak"},
    "outcome": "reproduced",
    "fix": "holds",
    "seed": "003#1",
    "condition": "always",
    "language": "Python",
}


def write(root: Path, declared: Scenario, name: str = "arc/made_up", **traces: Any) -> None:
    declared.name, (declared.system, _, _) = name, name.partition("/")
    for variant, trace in traces.items():
        captures.write(root, declared, variant, trace)


def row(root: Path) -> dict[str, Any]:
    return dict(claims_table.stored(root).to_dict("records")[0])


def test_a_leak_and_its_cure(tmp_path: Path) -> None:
    """The row has both outcomes, the leak's rate with its interval, and the cure's."""
    write(tmp_path, captures.scenario(**CLAIM), leaky=LEAK, fixed=FLAT)
    found = row(tmp_path)
    assert (found["outcome"], found["fix"], found["fix_variant"]) == (
        "reproduced",
        "holds",
        "fixed",
    )
    assert found["figure"]["text"] == "fds leak 2 descriptors/step [2, 2]"
    assert (found["figure"]["value"], found["figure"]["unit"]) == (2.0, "descriptors")
    assert found["fix_figure"]["text"].startswith("fds flat, detection limit 0.0")


def test_a_damaged_capture_costs_its_own_row_only(tmp_path: Path) -> None:
    """The other claims are judged and a warning names what is left out; without others it fails."""
    for name in ("arc/whole", "arc/damaged"):
        write(tmp_path, captures.scenario(**CLAIM), name, leaky=LEAK, fixed=FLAT)
    for file in (tmp_path / "arc" / "damaged").rglob("trace.parquet"):
        file.write_bytes(file.read_bytes()[:100])
    with pytest.warns(UserWarning, match="left out: arc/damaged: .*trace"):
        assert claims_table.stored(tmp_path)["scenario"].tolist() == ["arc/whole"]
    with pytest.raises(StoreError, match="left out: arc/damaged"):
        claims_table.stored(tmp_path / "arc" / "damaged")


def test_what_is_new_in_a_harmful_fix_is_quoted(tmp_path: Path) -> None:
    """A fix that leaks as before, and makes more wait for the collector, is quoted with that."""
    both = made.trace(made.ramp(2.0), gauge="fds", waiting=1.0)
    declared = captures.scenario(**{**CLAIM, "fix": "harmful"})
    write(tmp_path, declared, leaky=LEAK, proposed=both, fixed=FLAT)
    found = row(tmp_path)
    assert found["fix"] == "harmful"
    assert (
        found["fix_figure"]["text"]
        == "fds deferred, 10 descriptors freed only by the garbage collector"
    )


def test_a_claim_that_shows_otherwise_is_partly_right(tmp_path: Path) -> None:
    """What was called a leak and waits for the collector is quoted with what is held."""
    write(tmp_path, captures.scenario(**CLAIM), leaky=WAITS, fixed=FLAT)
    found = row(tmp_path)
    assert (found["outcome"], found["ok"]) == ("partly", False)
    assert found["figure"]["kind"] == "held"


def test_a_broken_limit_is_quoted_with_what_is_allowed(tmp_path: Path) -> None:
    """Of an invariant the worst reading stands beside the one that is allowed."""
    declared = captures.scenario(
        **{**CLAIM, "symptoms": {"fds": "broken"}}, limits=[Limit("fds", at_most=150)]
    )
    write(tmp_path, declared, leaky=LEAK, fixed=FLAT)
    assert row(tmp_path)["figure"]["text"] == "fds 700, allowed ≤ 150"
    assert row(tmp_path)["fix_figure"]["text"].startswith("fds flat")


def test_a_sweep_is_quoted_with_its_exponent(tmp_path: Path) -> None:
    """Of a cost the exponent over its size is quoted."""
    sizes = 1000.0 * 2 ** np.arange(6)

    def cost(exponent: float) -> pd.DataFrame:
        trace = made.trace(lambda at, _: sizes[at % 6] ** exponent, gauge="step_peak")
        return trace.assign(rows=sizes[trace["step"].to_numpy() % 6])

    declared = captures.scenario(
        **{**CLAIM, "symptoms": {"step_peak": "scales"}},
        sweeps=[Sweep("step_peak", "rows", floor=1.0)],
    )
    write(tmp_path, declared, leaky=cost(1.0), fixed=cost(0.0))
    assert row(tmp_path)["figure"]["text"] == "step_peak ∝ rows^1 [1, 1]"


def test_a_process_that_hangs_is_quoted_as_such(tmp_path: Path) -> None:
    """Where a process does not end, that is the figure."""
    declared = captures.scenario(**{**CLAIM, "symptoms": {"run": "hangs"}})
    declared.name, declared.system = "arc/made_up", "arc"
    captures.write(tmp_path, declared, "leaky", FLAT, status="hung")
    captures.write(tmp_path, declared, "fixed", FLAT, exit_s=0.25)
    found = row(tmp_path)
    assert found["figure"]["text"] == "hangs at exit"
    assert found["fix_figure"]["text"] == "ends 0.25 s after its load"


@pytest.fixture
def register(tmp_path: Path) -> pd.DataFrame:
    for name, seed in (("arc/b", "003#10"), ("arc/a", "003#9"), ("sse/z", "004 2.1")):
        write(tmp_path, captures.scenario(**{**CLAIM, "seed": seed}), name, leaky=LEAK, fixed=FLAT)
    control = captures.scenario(seed="000 well handled")
    write(tmp_path, control, "pl/control", leaky=FLAT)
    return claims_table.stored(tmp_path)


def test_rows_stand_in_the_order_of_the_seeds(register: pd.DataFrame) -> None:
    """Documents in their order, and within one the ninth finding before the tenth."""
    assert list(register["scenario"]) == ["pl/control", "arc/a", "arc/b", "sse/z"]


def test_what_has_no_number_stands_behind_its_document(tmp_path: Path) -> None:
    """Numbered findings come first, with the fixes of the same number; then the others."""
    seeds = ("000 well handled", "000 testing #4", "000#10", "000 fix 2.1", "", "000 2.1", "000#2")
    for number, seed in enumerate(seeds):
        declared = captures.scenario(seed=seed)
        declared.name, declared.system = f"a/{number}", "a"
        captures.write(tmp_path, declared, "leaky", FLAT)
    found = list(claims_table.stored(tmp_path)["seed"])
    numbered = ["000#2", "000 2.1", "000 fix 2.1", "000#10"]
    assert found == [*numbered, "000 testing #4", "000 well handled", ""]


def test_the_summary_counts_claims_fixes_and_controls(register: pd.DataFrame) -> None:
    """A control is no claim; it is counted by itself."""
    told = claims_table.summary(register)
    assert "Of 3 claims of the documents 3 reproduced." in told
    assert "Of 3 fixes that they propose 3 hold." in told
    assert "Of 1 null control 1 came out clean." in told
    assert "Not as declared: arc/a, arc/b, sse/z." in told  # made up without expectations


def test_the_register_is_plain_json(register: pd.DataFrame) -> None:
    """No NaN is left where JSON has no word for it."""
    rows = json.loads(json.dumps(claims_table.plain(register), allow_nan=False))
    assert rows[0]["fix"] == ""
    assert rows[1]["figure"]["low"] == 2.0


def test_the_register_is_shown_by_system_and_escaped(register: pd.DataFrame) -> None:
    """Each system has its part, linked to its case, and no claim can break the page or the row."""
    register.loc[1, "claim"] = "<b>bold</b>"
    html = figures.claims_table(register, {"arc": "23_arc.ipynb"}).html
    assert '<a href="23_arc.ipynb">arc</a>' in html
    assert "&lt;b&gt;bold" in html
    lines = figures.claims_markdown(register).splitlines()
    assert sum(line.startswith("| 9 |") for line in lines) == 0
    (row,) = (line for line in lines if line.startswith("| #9 | `a` |"))
    assert "| \\<b>bold\\</b> | Python | ours | ● reproduced | fds leak 2 descriptors/step" in row
    assert "✓ holds" in row
    rows = [line.replace("\\|", "") for line in lines if line.startswith("| ")]
    assert all(line.count("|") == 14 for line in rows)
    assert "descriptors \\| leak" in "".join(lines)


def check(**changes: Any) -> NodeResult:
    """Return the result of a Node check."""
    given = {"node": "v20", "summary": "50 of 50 stay", "outcome": None, "fix": None}
    return NodeResult(**{**given, "variants": {}, "row": None, **changes})


def test_a_node_check_decides_where_it_has_words(tmp_path: Path) -> None:
    """The original language's outcome replaces the port's, which stays in the row."""
    write(tmp_path, captures.scenario(**CLAIM), leaky=LEAK, fixed=FLAT)
    stored = load.load(tmp_path)
    (row,) = claims_table.findings(stored, node={"arc/made_up": check()}).to_dict("records")
    assert (row["outcome"], row["python"], row["node"]) == ("reproduced", "", "50 of 50 stay")
    decided = check(outcome="partly", fix="insufficient")
    (row,) = claims_table.findings(stored, node={"arc/made_up": decided}).to_dict("records")
    assert (row["outcome"], row["fix"]) == ("partly", "insufficient")
    assert row["python"] == "reproduced, its fix holds"
    assert row["figure"]["text"] == "Python: fds leak 2 descriptors/step [2, 2]"
    assert (
        "Python: reproduced, its fix holds; Node: 50 of 50 stay"
        in figures.claims_table(pd.DataFrame([row])).html
    )


ROW = {
    **{"seed": "003 rollback", "claim": "it can be switched off", "condition": "never"},
    **{"claimed_by": "document", "origin": "", "fix_origin": "document code"},
    "language": "JavaScript",
}


def test_other_readings_stand_beside_what_decides(tmp_path: Path) -> None:
    """Each is named with its word, a fix is judged beside its own fault, and none decides."""
    others = {"leaky_kept": WAITS, "proposed_kept": LEAK, "proposed_at_once": LEAK}
    declared = captures.scenario(**CLAIM, readings=[*others])
    write(tmp_path, declared, leaky=LEAK, **others, proposed=FLAT)
    checks = {"arc/made_up": check(readings={"proposed_hung_up": "insufficient"})}
    table = claims_table.findings(load.load(tmp_path), node=checks)
    (row,) = table.to_dict("records")
    assert row["readings"] == {
        "leaky_kept": "deferred",
        "proposed_kept": "harmful",
        "proposed_at_once": "insufficient",
        "proposed_hung_up in Node": "insufficient",
    }
    assert (row["outcome"], row["fix"]) == ("reproduced", "holds")
    assert "Of those that hold 1 fails when read otherwise" in claims_table.summary(table)
    assert "Other readings: leaky_kept deferred" in figures.claims_table(table).html
    assert "proposed_at_once △ insufficient" in figures.claims_markdown(table)


def test_a_check_without_a_scenario_is_a_row_of_its_own(tmp_path: Path) -> None:
    """It has no figure of a port, counts as a fix alone, and stands in its place."""
    write(tmp_path, captures.scenario(**CLAIM), leaky=LEAK, fixed=FLAT)
    checks = {"arc/rollback": check(fix="insufficient", row=ROW)}
    table = claims_table.findings(load.load(tmp_path), node=checks)
    assert list(table["scenario"]) == ["arc/made_up", "arc/rollback"]
    text = claims_table.summary(table)
    assert "Of 1 claim of the documents 1 reproduced." in text
    assert "Of 2 fixes that they propose 1 holds and 1 is insufficient." in text
    assert "it can be switched off" in figures.claims_table(table).html


def test_our_findings_are_counted_apart(tmp_path: Path) -> None:
    """A finding of our own is neither a claim of a document nor in the chart."""
    write(tmp_path, captures.scenario(**CLAIM), "arc/a", leaky=LEAK, fixed=FLAT)
    ours = captures.scenario(**{**CLAIM, "claimed_by": "ours", "fix": None})
    write(tmp_path, ours, "arc/b", leaky=LEAK, fixed=FLAT)
    table = claims_table.stored(tmp_path)
    text = claims_table.summary(table)
    told = "Of 1 claim of the documents 1 reproduced. Code of those reproduced: 1 ours. Of 1 fix "
    assert told in text
    assert "Of 1 finding of our own 1 reproduced." in text
    row = table.set_index("scenario").loc["arc/b"]
    assert (row["fix"], row["fix_variant"], row["fix_figure"]) == ("", "", None)
    assert "our finding" in figures.claims_table(table).html
    assert sum(bar.x.sum() for bar in figures.outcomes_chart(table).data) == 2


def test_no_captures_no_register() -> None:
    """An empty register says so."""
    assert "no captures" in figures.claims_table(pd.DataFrame()).html


def test_the_chart_counts_every_claim_and_every_fix(register: pd.DataFrame) -> None:
    """The bars of each system add up to its claims; a control has no bar."""
    figure = figures.outcomes_chart(register)
    found = {
        (bar.name, bar.y[1][0]): dict(zip(bar.y[0], bar.x, strict=True)) for bar in figure.data
    }
    assert found == {
        ("● reproduced", "claims"): {"arc": 2, "sse": 1},
        ("✓ holds", "fixes"): {"arc": 2, "sse": 1},
    }


def test_a_fix_without_a_fault_is_told(tmp_path: Path) -> None:
    """A fix that holds where nothing was reproduced is counted, and said to have fixed nothing."""
    write(tmp_path, captures.scenario(**CLAIM), leaky=FLAT, fixed=FLAT)
    text = claims_table.summary(claims_table.stored(tmp_path))
    assert "1 holds (for 1 of those that hold the claim did not reproduce)." in text
