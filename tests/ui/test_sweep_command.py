"""The commands sweep, query and judge URL: what they print, and their exit codes."""

from __future__ import annotations

import json

import pytest
from helpers import sweeps

from resleak.captures.store.store import Store

PLAN = 'workloads = ["mine.py"]\nsteps = 40\nreplicates = 2\nrounds = 1\ncanary = false\n'


def test_a_sweep_from_plan_to_query(cli, tmp_path):
    """Count, run, show and query a sweep; each command answers on standard output."""
    sweeps.plan(tmp_path, PLAN, mine=sweeps.LEAK)
    counted = cli("sweep", "plan.toml", "--store", "s", "--dry-run")
    assert counted.returncode == 0
    assert counted.stdout.startswith("2 runs in 1 cell; 0 are stored already")
    assert not (tmp_path / "s").exists()
    ran = cli("sweep", "plan.toml", "--store", "s", "--report", "r.html")
    assert ran.returncode == 1
    assert "1 cell: 1 leak. 2 of 2 planned runs are stored." in ran.stdout
    assert "running the code and installing the packages that plan.toml names" in ran.stderr
    assert "report: r.html" in ran.stderr
    (tmp_path / "mine.py").unlink()
    state = cli("sweep", "plan.toml", "--store", "s", "--status", "--json")
    assert [one["verdict"] for one in json.loads(state.stdout)["cells"]] == ["leak"]
    for where in ("s", (tmp_path / "s").as_uri()):
        assert (
            cli("judge", where).stdout
            == cli("sweep", "plan.toml", "--store", "s", "--status").stdout
        )
    answer = cli(
        "query", "SELECT scenario, count(*) AS n FROM runs GROUP BY 1", "--store", "s", "--json"
    )
    assert json.loads(answer.stdout) == [{"scenario": "mine", "n": 2}]
    everything = cli("query", "SELECT * FROM runs", "--store", "s").stdout.splitlines()
    assert [line.split() for line in everything if "scenario" in line] == [["scenario", "mine"]] * 2
    assert max(map(len, everything)) < 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "absent.toml"], "absent.toml is missing"),
        (["sweep", "plan.toml", "--status", "--store", "nowhere"], "there is no store at nowhere"),
        (["sweep", "plan.toml", "--budget", "soon"], "is not a duration"),
        (["sweep", "plan.toml", "--store", "nothing://x"], "cannot be used"),
        (["query", "SELECT 1", "--store", "nowhere"], "there is no store at nowhere"),
        (["judge", "memory://nowhere"], "there is no store at memory://nowhere"),
    ],
)
def test_a_mistake_is_one_line(cli, tmp_path, arguments, message):
    """A wrong plan, place or duration ends with one line and code 2, and leaves nothing."""
    sweeps.plan(tmp_path, PLAN, mine=sweeps.LEAK)
    result = cli(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") <= 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.py", "plan.toml"]


def test_a_store_that_takes_no_runs_is_said(cli, tmp_path):
    """If the store fails, the sweep was not carried out: code 2, and one line that says why."""
    sweeps.plan(tmp_path, PLAN, mine=sweeps.STEP)
    Store.made(str(tmp_path / "s"))
    (tmp_path / "s" / "tables").write_text("in the way")
    ran = cli("sweep", "plan.toml", "--store", "s")
    assert ran.returncode == 2
    assert "1 cell: 1 not run. 0 of 2 planned runs are stored." in ran.stdout
    (line,) = ran.stderr.splitlines()[1:]
    assert "is read-only, or no folder; choose another --store" in line
