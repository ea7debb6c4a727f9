"""The first commands of a new user: init, doctor, skill, settings of a project, completion."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat.sign import NotebookNotary
from packaging.requirements import Requirement

import resleak
from resleak.analysis import budgets
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.errors import BudgetError, install_command
from resleak.ui.cli import _watch_display, common, console
from resleak.ui.cli.notebooks import trust
from resleak.workload import catalog


@pytest.mark.parametrize(
    "kind",
    [
        "web",
        pytest.param("queue", marks=pytest.mark.nightly),
        pytest.param("pipeline", marks=pytest.mark.nightly),
    ],
)
def test_a_starter_leaks_as_it_says(cli, tmp_path, kind):
    """`init KIND` writes a file whose step runs, and whose marked line keeps something per step."""
    done = cli("init", kind)
    assert (done.returncode, done.stdout) == (0, f"leak_{kind}.py\n")
    done = cli("investigate", f"leak_{kind}.py", "--steps", "60", "--runs", "2", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["variants"]["workload"]["verdict"]) == (1, "leak")
    marked = [
        line
        for line in (tmp_path / f"leak_{kind}.py").read_text().splitlines()
        if "# the leak" in line
    ]
    assert len(marked) == 1


@pytest.mark.nightly
def test_the_starter_of_a_test_fails_by_its_leak(cli, tmp_path):
    """`init test` writes a test that fails, with the line that leaks."""
    cli("init", "test")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_leak.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "opened at test_leak.py:25" in " ".join(done.stdout.split())


def test_init_leaves_an_existing_file_alone(cli, tmp_path):
    """A file of that name is neither changed nor removed."""
    (tmp_path / "leak_web.py").write_text("mine")
    done = cli("init")
    assert done.returncode == 2
    assert "leak_web.py exists" in done.stderr
    assert (tmp_path / "leak_web.py").read_text() == "mine"


def test_a_full_disk_leaves_no_part_of_a_file(project, tmp_path):
    """`init` and `notebooks` that cannot write all of a file leave none of it, and say which."""
    for command, name in ((["init"], "leak_web.py"), (["notebooks", "nb"], "nb")):
        limited = "import resource, signal, sys; from resleak.__main__ import main\n"
        limited += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200)); main()"
        done = subprocess.run(
            [sys.executable, "-B", "-c", limited, *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(project)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert name in done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_notebooks_stay_in_their_folder(cli, tmp_path):
    """No file is written through a link; one that leads out of the folder is named."""
    outside, notebooks = tmp_path / "outside", tmp_path / "nb" / "notebooks"
    outside.mkdir()
    notebooks.mkdir(parents=True)
    first = notebooks / "00_start_here.ipynb"
    first.symlink_to(outside / "new")
    assert cli("notebooks", "nb").returncode == 0
    assert first.is_symlink()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "data").symlink_to(outside)
    done = cli("notebooks", "other")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "leads out of other" in done.stderr
    assert os.listdir(outside) == []


def test_the_doctor_says_what_is_missing(cli, monkeypatch):
    """Without a browser `doctor` says so and how to get one; what is needed decides the code."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("RESLEAK_CHROMIUM", raising=False)
    done = cli("doctor", "--json")
    parts = {part["name"]: part for part in json.loads(done.stdout)}
    assert done.returncode == 0
    assert parts["interpreter"]["works"]
    assert not parts["browser"]["works"]
    assert "install it" in parts["browser"]["note"]


def test_the_extra_of_a_missing_package_exists_and_has_it(cli, monkeypatch):
    """Each package of an extra is told with a whole name of one; httpx with the extra for it."""
    metadata = importlib.metadata.metadata("resleak")
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist")]
    pairs = {
        (one.name, extra)
        for one in requirements
        for extra in metadata.get_all("Provides-Extra")
        if "extra" in str(one.marker) and one.marker.evaluate({"extra": extra})
    }
    for name, _ in pairs:
        assert (name, install_command(name).split("[")[1].split("]")[0]) in pairs
    monkeypatch.setattr(importlib.metadata, "version", _not_installed)
    parts = {part["name"]: part for part in json.loads(cli("doctor", "--json").stdout)}
    assert not parts["httpx"]["works"]
    assert "[load]" in parts["httpx"]["note"]


def _not_installed(name):
    raise importlib.metadata.PackageNotFoundError(name)


def test_the_skill_names_commands_that_exist(cli):
    """Each command that the page teaches is one of ours."""
    page = cli("skill").stdout
    taught = {line.split("`")[0].split()[0] for line in page.split("`resleak ")[1:]}
    help_page = cli("--help").stdout
    assert taught >= {"init", "investigate", "compare", "watch", "open"}
    assert all(f" {name} " in help_page for name in taught)


def test_version_is_printed(cli):
    """`--version` prints name and version, and nothing else."""
    assert cli("--version").stdout == f"resleak {resleak.__version__}\n"


def test_no_help_shows_a_type_beside_a_flag(cli):
    """Neither the help nor that of a command names a Python type such as <bool>."""
    for command in ("", "investigate", "watch", "open", "share", "claims", "doctor"):
        page = cli(*command.split(), "--help").stdout
        assert "--help" in page
        assert not {"<bool>", "<str>", "<path>"} & set(page.split())


def test_the_shell_completes_commands_and_scenarios(tmp_path):
    """What bash asks for while a person types is answered by names."""

    def complete(words: str) -> list[str]:
        env = {
            **os.environ,
            "_RESLEAK_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        command = [sys.executable, "-m", "resleak"]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
        return done.stdout.split()

    assert complete("resleak inv") == ["investigate"]
    assert complete("resleak capture arc/sq") == ["arc/sqlite_connections"]


def test_a_project_sets_defaults(cli, tmp_path):
    """`[tool.resleak.defaults]` holds for options that are not given."""
    (tmp_path / "pyproject.toml").write_text("[tool.resleak.defaults]\nsteps = 0\n")
    (tmp_path / "mine.py").write_text("def step(i): pass\n")
    done = cli("capture", "mine.py")
    assert done.returncode == 2
    assert "--steps" in done.stderr
    assert "pyproject.toml" in done.stderr
    assert "pyproject.toml" not in cli("capture", "mine.py", "--steps", "-1").stderr


def test_a_project_sets_budgets(tmp_path):
    """`[tool.resleak.budget.NAME]` adds a budget, and replaces one of that name."""
    table = '[tool.resleak.budget.descriptors]\ngauges = ["fds"]\nper_step = 2\n'
    (tmp_path / "pyproject.toml").write_text(table)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    read = {one.name: one for one in budgets.read(common.settings(below).budgets).budgets}
    assert read["descriptors"].per_step == 2
    assert len(read) == len(budgets.read().budgets)


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ("[tool.resleak]\nstep = 3", "step"),
        ('[tool.resleak.defaults]\npython = "./evil"', "python"),
        ("[tool.resleak.defaults]\nsteps = {a = 1}", "steps"),
        ("[tool]\nresleak = 3", "table"),
        ("[tool.resleak", "cannot be read"),
    ],
)
def test_a_wrong_setting_names_file_and_key(tmp_path, table, word):
    """What a project may not set is refused with the file and the key."""
    (tmp_path / "pyproject.toml").write_text(table)
    with pytest.raises(BudgetError) as error:
        common.settings(tmp_path)
    assert "pyproject.toml" in str(error.value)
    assert word in str(error.value)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("investigate", "notes.md"), "notes.md is a file, but no Python"),
        (("investigate", "folder"), "folder is a folder"),
        (("open", "notes.md"), "not a file that memray wrote"),
        (("share", "notes.md"), "not a notebook"),
    ],
)
def test_an_error_names_the_object_that_was_given(cli, tmp_path, command, words):
    """A wrong kind of file is called what it is, and nothing advises to capture it again."""
    (tmp_path / "notes.md").write_text("# Notes\n")
    (tmp_path / "folder").mkdir()
    done = cli(*command)
    assert done.returncode == 2
    assert words in done.stderr
    assert "capture it again" not in done.stderr


def test_a_long_import_is_mentioned(monkeypatch, capsys):
    """After some seconds without progress the workload that is imported is named, once."""
    monkeypatch.setattr(common, "_PATIENCE_S", 0.01)
    with common.measuring("app.py"):
        time.sleep(0.3)
    with common.measuring("other.py") as progress:
        progress("label", 0, 1)
    assert capsys.readouterr().err.count("still importing app.py") == 1


def test_long_lines_are_folded(capsys):
    """A line of 5,000 characters is printed as short ones, with all its words."""
    words = " ".join(f"word{i}" for i in range(700))
    console.out(words)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 200
    assert " ".join(lines) == words


def test_a_watch_without_data_says_so():
    """A rate whose interval exceeds the level itself is not shown as a number."""

    def early(low: float, high: float, verdict: str = "inconclusive") -> bool:
        one = GaugeVerdict(gauge="rss", verdict=verdict, low=low, high=high, at_end=1e8, per="s")
        return _watch_display._is_early(one, 20)

    assert early(-2e8, 2e8)
    assert not early(-1e5, 1e5)
    assert not early(-2e8, 2e8, "leak")
    assert not early(math.nan, math.nan)


def test_scenario_names_complete():
    """Every scenario completes its own name."""
    assert all(name in common.scenario_names(name) for name in catalog.paths())


def test_only_our_own_notebooks_are_signed(tmp_path, project, monkeypatch):
    """JupyterLab shows all stored pictures of a notebook as it came, and of no other."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    folder = tmp_path / "notebooks"
    folder.mkdir()
    source = (project / "notebooks" / "00_start_here.ipynb").read_text()
    ours, changed, other = (
        folder / f"{name}.ipynb" for name in ("00_start_here", "12_compare", "x")
    )
    ours.write_text(source)
    changed.write_text(source.replace("descriptor", "file"))
    other.write_text(source.replace("descriptor", "handle"))
    trust(folder)
    notary = NotebookNotary()
    signed = [notary.check_signature(nbformat.read(one, 4)) for one in (ours, changed, other)]
    notary.store.close()
    assert signed == [True, False, False]
