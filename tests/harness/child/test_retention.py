"""What stays is told with the path that holds it, what waits for the collector with its cycle."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

from resleak import figures
from resleak.analysis.verdicts import ScenarioVerdict, judge
from resleak.captures import load
from resleak.harness.child.inspection import cycles
from resleak.harness.child.inspection.object_graph import Graph, render
from resleak.harness.runner import capture

SOURCE = '''"""Sessions stay for ever, and a pair that holds a file until the collector runs."""
from resleak.workload.scenario import Scenario
scenario = Scenario(steps=48, warmup=12, block=4, gauges=("fds", "objects"), stacks=False)
SESSIONS = {}

class Session:
    def __init__(self, number):
        self.history = [f"hunter2 {number}", f"user {number}@example.org"]

class Pair:
    other = None

@scenario.variant("leaky")
def leaky(step, run):
    """Keep the session, and drop a pair."""
    SESSIONS[f"secret-{step}"] = Session(step)
    one, two = Pair(), Pair()
    one.other, two.other = two, one
    one.file = open(__file__)

@scenario.variant("fixed")
def fixed(step, run):
    """Keep the last session, and close the file."""
    SESSIONS["last"] = Session(step)
    open(__file__).close()
'''


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> ScenarioVerdict:
    """Measure, inspect and judge both variants."""
    folder = tmp_path_factory.mktemp("retention")
    file = folder / "sessions.py"
    file.write_text(SOURCE)
    capture(str(file), out=folder / "captures", parallel=2)
    return judge(load.load(folder / "captures"))


def test_the_module_that_defines_the_holder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that only imports a list is no owner of it, though it was imported first."""
    (tmp_path / "keeper_of_list.py").write_text("KEPT = []\n")
    (tmp_path / "bystander_of_list.py").write_text("from keeper_of_list import KEPT as OTHER\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = [import_module(name) for name in ("bystander_of_list", "keeper_of_list")]
    kept = {"number": 1}
    modules[1].KEPT.append(kept)
    graph = Graph(("", module) for module in modules)
    assert graph.path(id(kept)) == "keeper_of_list.KEPT → list → dict"


def test_the_holder_is_named(judged: ScenarioVerdict) -> None:
    """One session a step stays, and a module's dict holds all of them, by one and the same path."""
    first = judged.variants["leaky"].culprits.retention.iloc[0]
    assert (first["type"], first["per_step"]) == ("Session", 1.0)
    assert (first["path"], first["share"]) == ("sessions.SESSIONS → dict → Session", 1.0)


def test_what_hangs_on_it_goes_on_from_its_path(judged: ScenarioVerdict) -> None:
    """The sessions' histories are told as what they are: two strings in a list of each session."""
    table = judged.variants["leaky"].culprits.retention.set_index("path")
    held = table.loc["sessions.SESSIONS → dict → Session.history → list → str"]
    assert (held["type"], held["per_step"]) == ("str", pytest.approx(3, abs=1))


def test_nothing_stays_where_nothing_leaks(judged: ScenarioVerdict) -> None:
    """What the next step replaces is not said to stay, and what is closed waits for nothing."""
    culprits = judged.variants["fixed"].culprits
    assert "Session" not in set(culprits.retention["type"])
    assert not len(culprits.cycles)


def test_the_cycle_is_named_with_what_hangs_on_it(judged: ScenarioVerdict) -> None:
    """A pair a step waits for the collector, and a file with it, told from the outside in."""
    (row,) = judged.variants["leaky"].culprits.cycles.to_dict(orient="records")
    assert (row["cycle"], row["per_step"]) == ("Pair.other → Pair.other → Pair", 1.0)
    assert row["holds"] == "1 TextIOWrapper, 1 BufferedReader, 1 FileIO"


def test_the_verdict_says_so(judged: ScenarioVerdict) -> None:
    """The sentences of the verdict, its JSON and its tables name the holder and the cycle."""
    because = "; ".join(judged.to_dict()["variants"]["leaky"]["because"])
    assert "sessions.SESSIONS → dict → Session" in because
    assert "Pair.other → Pair.other → Pair" in because
    assert because in judged.sentence("leaky")
    assert "sessions.SESSIONS → dict" in figures.holders_table(judged).html
    assert "Pair.other → Pair" in figures.culprits_table(judged).html
    assert judged.variants["fixed"].because == []


def test_no_content_is_recorded(judged: ScenarioVerdict) -> None:
    """Neither keys nor values of the program's data are in any table."""
    found = judged.variants["leaky"].culprits
    told = "".join(
        getattr(found, name).to_csv() for name in ("retention", "cycles", "exit", "lost")
    )
    assert not [word for word in ("hunter2", "secret", "example.org") if word in told]


class Node:
    """A link of a chain."""

    def __init__(self, after: object) -> None:
        self.after = after


def test_a_long_chain_is_told_once() -> None:
    """A path through a hundred links shows two of them and dots."""
    chain: list[object] = [None]
    for _ in range(100):
        chain.append(Node(chain[-1]))
    assert render("HEAD", chain[:0:-1]) == "HEAD → Node.after → … → Node"


def test_a_key_that_is_no_name_stays_out() -> None:
    """A dict's keys are data, even where they look like names."""
    held = Node(None)
    data = {"password": held}
    assert render("data", [data, held]) == "data → dict → Node"


def test_the_shortest_path_wins() -> None:
    """Of two holders the closer one is told, in the words of what it is: here a closure."""
    held = Node(None)
    far = [[[[[held]]]]]

    def near() -> object:
        return held

    assert isinstance(near, FunctionType)
    found = Graph([("far", far), ("near", near)])
    assert (
        found.path(id(held))
        == "near → function test_the_shortest_path_wins.<locals>.near.held → Node"
    )


def test_an_owner_comes_before_a_finalizer() -> None:
    """An object that a finalizer keeps too is named by its owner, however far from a root."""

    class Connection:
        def close(self) -> None: ...

    client, connection = Connection(), Connection()
    weakref.finalize(client, connection.close)
    far = {"a": {"b": {"c": {"d": {"e": [connection]}}}}}
    both = Graph([("", weakref), ("owner", far)])
    assert both.path(id(connection)).startswith("owner")
    alone = Graph([("", weakref)])
    assert "finalize._registry" in alone.path(id(connection))


def test_cycles_are_collected_as_ever() -> None:
    """What is looked at while it is collected is gone afterwards, and what is no cycle is none."""
    gc.collect()  # what other tests left would be among the few that are told
    one, two = Node(None), Node(None)
    one.after, two.after = two, one
    del one, two
    found, left = ([row["cycle"] for row in cycles.collect(1)] for _ in range(2))
    assert "Node.after → Node.after → Node" in found
    assert "Node.after → Node.after → Node" not in left


BEYOND = """
from types import SimpleNamespace
from resleak.harness.child.inspection.retention import Retention

class Node:
    pass

facts, kept, samples = {}, [], SimpleNamespace(done=0)
spec, scenario = {"warmup": 0, "steps": 3}, SimpleNamespace(setup_function=None)
driver = SimpleNamespace(scenario=scenario, spec=spec, samples=samples, fixture=kept)
retention = Retention(facts, lambda: ([], set()))
for _ in range(7):
    samples.done += 1
    kept += [Node(), Node()]
    retention.census(driver)
    print(*(row["path"] for row in facts["retention"] if row["type"] == "Node"), sep=",")
"""


def test_steps_beyond_the_planned_ones_are_no_fourth_mark() -> None:
    """Three censuses are compared, however many steps are taken; the chain stays as it is."""
    # In a process of its own, which has few objects.
    done = subprocess.run(
        [sys.executable, "-c", BEYOND], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["", "", *["set-up → list → Node"] * 5]
