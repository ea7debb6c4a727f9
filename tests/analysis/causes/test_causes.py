"""Each cause of a workload is named once, with line, source, chain, kind and advice."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
from helpers import known_causes
from helpers.known_causes import LEAKS

from resleak.analysis import verdicts
from resleak.analysis.causes import model
from resleak.analysis.causes import text as causes_text
from resleak.analysis.causes.changes import changes
from resleak.captures import load
from resleak.experiments.investigate import investigate
from resleak.experiments.investigation import Investigation

#: Enough to decide each gauge that they are about, and to place each census.
STEPS, RUNS = 90, 2
#: The rest runs with the scenarios, each night.
QUICK = (
    "three", "method_cache", "cycle_with_file", "mapped", "executor", "weak_registry",
    "collector_off", "exception",
)  # fmt: skip
WORKLOADS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.nightly) for name in LEAKS
]


def investigated(name: str, folder: Path, before: str = "") -> Investigation:
    file = folder / f"{name}.py"
    file.write_text(before + LEAKS[name][0], encoding="utf-8")
    return investigate(file, steps=STEPS, runs=RUNS, out=folder / "captures")


def variant(of: Investigation) -> dict[str, Any]:
    (only,) = json.loads(json.dumps(of.to_dict()))["variants"].values()
    return dict(only)


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_cause_is_named_once(name: str, tmp_path: Path, project: Path) -> None:
    """Kind, line, source, chain and advice are as written; the balance is within the interval."""
    found = investigated(name, tmp_path)
    answer = json.loads(json.dumps(found.to_dict()))
    schema = json.loads((project / "docs/schema/verdict.json").read_text())
    fastjsonschema.validate(schema, answer)
    told = variant(found)
    truth, lines = LEAKS[name][1], known_causes.lines(name)
    assert len(told["causes"]) == len(truth), found
    for number, leak in enumerate(truth, 1):
        (cause,) = [one for one in told["causes"] if _is(one, leak, lines.get(number), name)]
        assert leak.advice in ("", cause["advice"]["code"])
        if number in lines:
            assert cause["site"]["source"] in LEAKS[name][0].splitlines()[lines[number] - 1]
            assert cause["site_share"] > 0.5
        assert sum(part["share"] for part in cause["parts"]) + cause["site_share"] < 1 + 1e-9
    for gauge, balance in told["balance"].items():
        of = told["gauges"][gauge]
        total = balance["explained"] + balance["unexplained"]
        assert of["low"] <= total <= of["high"] or math.isclose(total, of["per_step"])
        parts = sum(c["gauges"].get(gauge, {}).get("per_step", 0.0) for c in told["causes"])
        assert parts <= of["high"] or math.isclose(parts, of["per_step"])


def _is(cause: dict[str, Any], leak: known_causes.Leak, line: int | None, name: str) -> bool:
    site, chain = cause["site"] or {"line": None, "source": ""}, leak.chain.format(name=name)
    # With some builds of Python memray sees what ctypes calls.
    is_at = site["line"] == line or (line is None and "libc.malloc" in site["source"])
    return bool(cause["kind"] == leak.kind and is_at and cause["chain"].startswith(chain))


#: What no reader should meet: our own classes and frames, and names of documents of other people.
INTERNAL = re.compile(r"KnownLock|KnownRLock|<resleak>|&lt;resleak&gt;|Seed 0|\[path\]|00[123], ")


def test_no_internal_name_reaches_a_reader(
    tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Terminal, report and JSON of a user's workload name the user's things, and no budget."""
    source = "import threading\nLOCKS = []\ndef step(i):\n    LOCKS.append(threading.RLock())\n"
    (tmp_path / "mine.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    limits = ("--steps", str(STEPS), "--runs", "1")
    shown = cli("investigate", "mine.py", *limits, "-o", "mine.html")
    page = (tmp_path / "mine.html").read_text(encoding="utf-8")
    data = cli("judge", "captures/mine", "--json").stdout
    assert "mine.LOCKS → list → RLock" in shown.stdout
    assert "mine.LOCKS → list → RLock" in page
    assert json.loads(data)["budgets"] == []
    for text in (shown.stdout, page, data):
        assert not INTERNAL.findall(text)


def test_causes_and_the_rest_add_up_in_stored_captures(project: Path) -> None:
    """Explained and unexplained growth lie within the interval of the gauge's rate."""
    names = ("arc/auth_cache", "pl_drivers/driver_maps", "sse_streaming/unbounded_queue")
    balances = 0
    for name in names:
        runs = load.load(project / "data" / "captures" / name).select(variant="leaky")
        variant = verdicts.judge(runs).variants["leaky"]
        for of, one in variant.found.balance.items():
            gauge = variant.gauge(of)
            assert gauge is not None
            whole = one.explained + one.unexplained
            assert gauge.low <= whole <= gauge.high or math.isclose(whole, gauge.per_step)
            parts = [p for c in variant.found.causes for p in c.gauges if p.gauge == of]
            assert sum(p.share for p in parts) <= 1 + 1e-9
            balances += 1
    assert balances > 3


def test_a_watched_process_has_no_steps(project: Path) -> None:
    """Where steps are seconds, limits are times; numbers alone name neither kind nor line."""
    judgement = verdicts.judge(load.load(project / "data" / "service" / "watched"))
    found = judgement.variants["process"].found
    lines = "\n".join([*causes_text.numbered(found), *causes_text.accounts(found)])
    assert [one.kind for one in found.causes] == [model.FILES, model.RESIDENT]
    assert "steps" not in lines
    assert lines.count("not recorded: only numbers were sampled") == 2
    assert {one.advice.code for one in found.causes} == {model.REPEAT}
    assert "memory of this machine 23.5 GiB in about 3.15 days" in lines
    assert "fds: 20.1 per s unexplained" in lines


def test_a_fingerprint_survives_moved_lines(tmp_path: Path) -> None:
    """Lines added above change no fingerprint, and the terminal tells what JSON tells."""
    (tmp_path / "moved").mkdir()
    before = investigated("two", tmp_path)
    after = investigated("two", tmp_path / "moved", before="#\n#\n")
    sides = [one.variant.found.causes for one in (before, after)]
    assert [one.site.line for one in sides[1] if one.site] == [
        one.site.line + 2 for one in sides[0] if one.site
    ]
    assert set(changes(*sides).same) == {one.id for one in sides[0]}
    for cause in sides[0]:
        assert cause.site
        for told in (cause.site.text, cause.chain, cause.advice.text):
            assert told in str(before)


@pytest.mark.parametrize(
    ("chain", "named"),
    [
        ("set-up → Api.auth → Auth.store → Store.by_key → dict → tuple", "Bound Store.by_key,"),
        ("app.WORKER → Worker.failed → list → Job", "Bound Worker.failed,"),
        ("app.Api → class Api.all → list → Api", "Bound Api.all,"),
        ("app.KEPT → list → Session", "Bound app.KEPT,"),
        ("C code → dict", "Find what grows"),
    ],
)
def test_advice_names_the_container_that_grows(chain: str, named: str) -> None:
    """Not the owner at the root, which may keep much else."""
    assert model.Advice.of(model.OBJECTS, chain).text.startswith(named)
