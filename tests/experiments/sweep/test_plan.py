"""A plan: checked at the door, expanded and counted, with keys that only the question changes."""

from __future__ import annotations

import sys

import pytest
from helpers import sweeps

from resleak.errors import CaptureError, ScenarioError
from resleak.experiments.sweep import plan as plans
from resleak.experiments.sweep.shipping import Shipped


def expanded(path):
    return plans.expand(plans.read(path), path.parent)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenarios = [", "Invalid value|Unclosed array"),
        ("", "names nothing to run"),
        ('scenarios = "arc/*"', "scenarios must be a list"),
        ('scenarios = ["arc/*"]\nreplicate = 3', "there is no key 'replicate'"),
        ('scenarios = ["arc/*"]\nreplicates = 0', "replicates must be from 1 to 100"),
        ('scenarios = ["arc/*"]\nreplicates = true', "replicates must be a number"),
        ('scenarios = ["arc/*"]\nseeds = [-1]', "seeds must be from 0"),
        ('scenarios = ["arc/*"]\nseeds = []', "seeds must be a list of different values"),
        ('scenarios = ["arc/*"]\nsteps = 0', "steps must be at least 1"),
        ('scenarios = ["arc/*"]\ninstruments = ["xray"]', "there is no instrument 'xray'"),
        ('scenarios = ["arc/*"]\n[params]\nx = nan', "not JSON compliant"),
        ('scenarios = ["arc/*"]\n[params]\nx = 2024-01-01', "not JSON serializable"),
        ('scenarios = ["arc/*"]\nwith = ["httpx=="]', "is not a requirement"),
        ('scenarios = ["arc/*"]\nrequirements = ["x"]', "packages are called 'with'"),
    ],
)
def test_a_bad_plan_is_one_line(tmp_path, text, message):
    """A plan that makes no sense is refused before anything of it runs."""
    with pytest.raises(ScenarioError, match=rf"^plan\.toml: [^\n]*({message})[^\n]*$"):
        plans.read(sweeps.plan(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('scenarios = ["nobody/*"]', "no scenario is called 'nobody/\\*'"),
        ('scenarios = ["arc/auth_cash"]', "did you mean arc/auth_cache"),
        ('workloads = ["*.txt"]', "no file matches"),
        ('workloads = ["absent.py"]', "there is no file"),
        ('workloads = ["mine.py"]\nvariants = ["leaky"]', "none of these variants"),
        ('workloads = ["mine.py"]\n[params]\nsize = 3', "has no parameter 'size'"),
    ],
)
def test_a_plan_without_runs_is_one_line(tmp_path, text, message):
    """A plan whose every part cannot be run says why."""
    path = sweeps.plan(tmp_path, text, mine=sweeps.STEP)
    with pytest.raises(ScenarioError, match=message):
        expanded(path)


def test_a_plan_expands_to_the_product(tmp_path):
    """Workloads, parameters, seeds and variants multiply; replicates are interleaved."""
    text = """
        workloads = ["w*.py"]
        scenarios = ["arc/auth_cache"]
        variants = ["leaky", "workload"]
        seeds = [0, 100]
        replicates = 2
        """
    expansion = expanded(sweeps.plan(tmp_path, text, w1=sweeps.STEP, w2=sweeps.LEAK))
    assert len(expansion.cells) == 6
    runs = expansion.rounds(0)
    assert len({run.key for run in runs}) == 12
    assert [run.spec.seed for run in runs if run.spec.scenario == "w1"] == [0, 1, 100, 101]
    assert not {run.key for run in runs} & {run.key for run in expansion.rounds(1)}


def test_a_run_says_which_packages_it_had(tmp_path):
    """The packages of an environment of its own are those of its record, not of this one."""
    text = 'workloads = ["mine.py"]\n[with]\nmine = ["iniconfig==1.1.1", "iniconfig==2.0.0"]'
    cells = expanded(sweeps.plan(tmp_path, text, mine=sweeps.STEP)).cells
    assert [cell.spec.packages["iniconfig"] for cell in cells] == ["1.1.1", "2.0.0"]


def test_what_is_compared_is_interleaved(tmp_path):
    """First replicates of all variants run before any second one."""
    text = 'scenarios = ["arc/auth_cache"]\nreplicates = 2'
    order = [
        (run.spec.run, run.spec.variant) for run in expanded(sweeps.plan(tmp_path, text)).rounds(0)
    ]
    variants = [variant for run, variant in order if run == 1]
    assert len(variants) > 1
    assert order == [(run, variant) for run in (1, 2) for variant in variants]


def test_parameters_make_a_grid(tmp_path):
    """Each combination of parameters is a cell of its own, with its own key."""
    text = """
        workloads = ["mine.py"]
        [params]
        size = [1, 2]
        mode = ["a", "b"]
        """
    source = (
        "from resleak import Scenario\n"
        "scenario = Scenario(params={'size': 1, 'mode': 'a'})\n"
        "@scenario.variant()\ndef only(step, run): pass\n"
    )
    expansion = expanded(sweeps.plan(tmp_path, text, mine=source))
    points = [(cell.spec.params["size"], cell.spec.params["mode"]) for cell in expansion.cells]
    assert points == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
    assert len({cell.run(1).key for cell in expansion.cells}) == 4


def test_interpreters_are_columns(tmp_path, bare):
    """Each interpreter is a column of its own; one that cannot measure says why."""
    text = f'workloads = ["mine.py"]\npython = ["{sys.executable}", "{bare}"]'
    expansion = expanded(sweeps.plan(tmp_path, text, mine=sweeps.STEP))
    assert [cell.environment.label for cell in expansion.cells] == [sys.executable]
    (absent,) = expansion.absent
    assert (absent.scenario, absent.label) == ("mine", str(bare))
    assert "lacks psutil" in absent.message


def keys(folder, **files):
    path = sweeps.plan(folder, 'workloads = ["mine.py"]', **files)
    return [run.key for run in expanded(path).rounds(0)]


def test_only_the_question_changes_the_key(tmp_path):
    """Keys ignore place, comments and unrelated files; code and imported helpers change them."""
    (tmp_path / "elsewhere").mkdir()
    source = "import helper\ndef step(i): helper.work()\n"
    first = keys(tmp_path, mine=source, helper="def work(): pass\n", other="x = 1\n")
    assert keys(tmp_path / "elsewhere", mine=source, helper="def work(): pass\n") == first
    assert keys(tmp_path, mine="# why\n" + source, other="x = 2\n") == first
    assert keys(tmp_path, mine=source + "x = 1\n") != first
    assert keys(tmp_path, mine=source, helper="def work(): return 1\n") != first


def test_a_workload_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    """One line names the place in the cache, and no part of the workload stays there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    in_its_own_way = (("a.py", "def step(i): pass"), ("a.py/b.py", ""))
    with pytest.raises(CaptureError, match=r"cannot write .*workloads/.*; free space"):
        Shipped("a.py", "", "", in_its_own_way).workload()
    assert list((tmp_path / "resleak" / "workloads").iterdir()) == []


def test_a_workload_travels_with_what_it_imports(tmp_path):
    """A file is found on another machine, with its helpers, without its folder."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "__init__.py").write_text("")
    (tmp_path / "tools" / "deep.py").write_text("def work(): pass\n")
    source = "from tools import deep\ndef step(i): deep.work()\n"
    (cell,) = expanded(sweeps.plan(tmp_path, 'workloads = ["mine.py"]', mine=source)).cells
    for path in [*tmp_path.rglob("*.py")]:
        path.unlink()
    job = plans.job_of(cell.run(1), tmp_path / "out")
    assert job.plan.work.file.read_text() == source
    assert (job.plan.work.file.parent / "tools" / "deep.py").is_file()


def test_a_worker_with_other_versions_refuses_the_run(tmp_path, monkeypatch):
    """A run is refused where its environment is not the one that the plan was made with."""
    (cell,) = expanded(sweeps.plan(tmp_path, 'workloads = ["mine.py"]', mine=sweeps.STEP)).cells
    installed = plans.environments.installed
    monkeypatch.setattr(
        plans.environments, "installed", lambda python: {**installed(python), "numpy": "0.1"}
    )
    with pytest.raises(ScenarioError, match="this worker has another environment"):
        plans.job_of(cell.run(1), tmp_path / "out")


def test_two_workloads_of_one_name_are_refused(tmp_path):
    """Files of one name in two folders cannot be told apart in a matrix."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.py").write_text(sweeps.STEP + f"{name} = 1\n")
    with pytest.raises(ScenarioError, match="two workloads are called same"):
        expanded(sweeps.plan(tmp_path, 'workloads = ["*/same.py"]'))
