"""The command line as people and programs use it; in a process of its own where that matters."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import foreign
from helpers.stored import unpacked

from resleak.harness.runner import capture
from resleak.workload import catalog

COMMANDS = ("list", "capture", "judge", "claims", "compare", "share", "export", "lab")
GAUGES = {"fds", "threads", "sockets", "children", "rss", "uss", "heap", "blocks", "objects"}
NUMBERS = {"verdict", "per_step", "low", "high", "unit", "detection_limit", "peak", "at_end"}
SITE = {"function", "file", "line", "bytes_per_step", "share"}

LEAKS_FDS = """
    import os

    kept = []

    def step(i):
        kept.append(os.open(os.devnull, os.O_RDONLY))
"""
BEFORE_AND_AFTER = """
    \"\"\"A list that forgets nothing.\"\"\"
    from resleak import Scenario

    scenario = Scenario(steps=80, warmup=20, params={"size": 3000, "keep": True}, stacks=False)

    @scenario.setup
    def world(run):
        yield run, []

    @scenario.variant(expect={"kept": "leak"})
    def leaky(step, world):
        world[1].append(bytes(world[0].params.size))

    @scenario.variant()
    def fixed(step, world):
        world[1][:] = [bytes(world[0].params.size)]

    @scenario.gauge("items")
    def kept(world):
        return len(world[1])
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], str]:
    def write(body: str, name: str) -> str:
        (tmp_path / name).write_text(textwrap.dedent(body))
        return name

    return write


@pytest.fixture
def as_process(tmp_path: Path, project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run resleak in an empty folder, in a process of its own."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "resleak", *arguments],
            cwd=tmp_path,
            env=environment(project),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run


def environment(project: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(project), "COLUMNS": "200"}


def the_error(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of an error, after checking that it is all there is."""
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("resleak: ")
    return line


def test_list_names_every_scenario(as_process):
    """`list --json` prints each scenario's name, title, system and variants, and nothing else."""
    result = as_process("list", "--json")
    rows = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (0, "")
    assert [row["name"] for row in rows] == list(catalog.paths())
    for row in rows:
        assert set(row) == {"name", "title", "system", "variants"}
        assert row["name"].startswith(f"{row['system']}/")
        assert row["title"]
        assert row["variants"]


def test_list_prints_a_table_for_people(cli):
    """`list` prints a line for each scenario."""
    printed = cli("list").stdout
    assert all(name in printed for name in catalog.paths())


def test_the_help_documents_commands_and_exit_codes(cli):
    """`resleak --help`, also without the option, names all commands and the four exit codes."""
    result = cli("--help")
    assert result.returncode == 0
    assert all(f" {name} " in result.stdout for name in COMMANDS)
    assert all(code in result.stdout for code in ("0 done", "1 judged", "2 the", "130 "))
    assert cli().stdout == result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(cli, command):
    """Each command explains itself."""
    result = cli(command, "--help")
    assert result.returncode == 0
    assert f"resleak {command}" in result.stdout


@pytest.mark.parametrize("command", ["capture", "judge"])
def test_an_unknown_name_gets_a_suggestion(cli, command):
    """A name with a typo ends with one line that has the name that was meant."""
    assert "arc/auth_cache" in the_error(cli(command, "arc/auth_cash"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("judge",), "NAME|FILE|DIR"),
        (("jugde", "x"), "judge"),
        (("list", "--jsn"), "--jsn"),
        (("capture", "arc/auth_cache", "--runs", "0"), "--runs"),
        (("capture", "arc/auth_cache", "--steps", "0"), "'--steps': it must be at least 1; "),
        (("capture", "arc/auth_cache", "--steps", "many"), "'--steps': it must be a whole number;"),
        (("init", "shop"), "': 'shop' is not one of"),
        (("list", "--jsn"), "`resleak list --help` says more"),
        (("jugde", "x"), "`resleak --help` says more"),
        (("capture", "arc/auth_cache", "--profile", "quik"), "quick, full, soak"),
        (("capture", "arc/auth_cache", "--variant", "leeky"), "leaky, fixed"),
        (("capture", "arc/auth_cache", "--set", "entries"), "KEY=VALUE"),
        (("capture", "arc/auth_cache", "--set", "nope=1"), "'nope'"),
        (("capture", "arc/auth_cache", "--python", "no/python"), "no/python"),
        (("capture", "absent.py"), "absent.py"),
        (("judge", "absent/folder"), "absent/folder"),
        (("compare", "a"), "two folders"),
        (("compare", "absent", "gone"), "absent"),
        (("compare", "arc/auth_cache", "leaky", "nope"), "no variant 'nope'; it has: leaky, fixed"),
        (("investigate", "absent.py", "--budget", "soon"), "'--budget': 'soon' is not a duration"),
        (("investigate", "absent.py", "-o", "out"), "out is no kind of report"),
        (("investigate", "absent.py", "-o", "."), ". is a folder; name a file"),
        (("open", "absent.bin", "-o", "."), ". is a folder; name a file"),
        (("sweep", "absent.toml"), "resleak: absent.toml is missing"),
        (("judge", "s3://"), "s3:// names no bucket"),
        (("query", "SELECT 1", "--store", "s3://"), "s3:// names no bucket"),
        (("share", "absent.ipynb"), "absent.ipynb"),
        (("share", "arc/auth_cache", "-p", "SCENARIO"), "KEY=VALUE"),
        (("share", "absent.ipynb", "-o", "report.docx"), "write .html, .md or .pdf"),
        (("share", "absent.ipynb", "--to", "md", "-o", "report.pdf"), "disagree"),
    ],
)
def test_bad_input_gets_one_line(cli, arguments, told):
    """What cannot be done is said in one line that names what was wrong or what there is."""
    assert told in the_error(cli(*arguments))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("def stepp(i): pass", "step(i)"),
        ("def step(i) pass", "SyntaxError"),
        ("import not_there_at_all", "not_there_at_all"),
        ("from resleak import Scenario\nscenario = Scenario()", "@scenario.variant()"),
        ("from resleak import Scenario\nscenario = Scenario(outcome='yes')", "'yes'"),
    ],
)
def test_a_malformed_file_is_named_with_what_it_lacks(cli, write, body, told):
    """A file that is no scenario ends with one line that has its path and what is missing."""
    line = the_error(cli("capture", write(body, "mine.py")))
    assert "mine.py" in line
    assert told in line


def test_a_plain_file_is_captured_and_judged(as_process, write, tmp_path):
    """`judge FILE` captures first, says so, finds the leak, and judges the same captures again."""
    name = write(LEAKS_FDS, "mine.py")
    first = as_process("judge", name, "--json")
    assert "capturing it first" in first.stderr
    answer = json.loads(first.stdout)
    workload = answer["variants"]["workload"]
    assert set(workload["gauges"]) >= GAUGES
    assert all(set(gauge) >= NUMBERS for gauge in workload["gauges"].values())
    assert workload["verdict"] == workload["gauges"]["fds"]["verdict"] == "leak"
    assert workload["gauges"]["fds"]["per_step"] == pytest.approx(1, abs=0.01)
    assert workload["gauges"]["threads"]["verdict"] == "flat"
    assert set(answer["claim"]) == {"seed", "text", "declared", "measured", "fix"}
    assert first.returncode == 1

    again = as_process("judge", str(tmp_path / "captures"), "--json")
    assert (json.loads(again.stdout), again.stderr) == (answer, "")


def test_the_line_that_grows_is_named(cli, leak_here):
    """`judge` ranks the lines that grow, the guilty one first, for people and for programs."""
    printed, answer = cli("judge", leak_here), json.loads(cli("judge", leak_here, "--json").stdout)
    assert printed.returncode == 1
    assert "workload: leak" in printed.stdout
    assert "work.py:7 in step" in printed.stdout
    site = answer["variants"]["workload"]["sites"][0]
    assert set(site) >= SITE
    assert (site["file"], site["line"]) == ("work.py", 7)
    assert site["bytes_per_step"] == pytest.approx(5033, rel=0.05)


def test_a_clean_file_passes(cli, write, tmp_path):
    """A file whose steps keep nothing is judged clean, with exit code 0."""
    name = write("def step(i):\n    return bytes(5000)", "clean.py")
    capture(str(tmp_path / name), out=tmp_path / "captures", runs=2, steps=120, stacks=False)
    result = cli("judge", name, "--json")
    assert json.loads(result.stdout)["ok"]
    assert result.returncode == 0


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Path:
    """Capture a scenario of two variants once."""
    folder = tmp_path_factory.mktemp("both")
    file = folder / "mine.py"
    file.write_text(textwrap.dedent(BEFORE_AND_AFTER))
    capture(str(file), out=folder / "captures", runs=2, stacks=False)
    return folder


def test_variants_are_compared(cli, both, tmp_path):
    """`compare NAME A B` and `compare DIR DIR` tell what the fix changed."""
    name = "mine.py"
    shutil.copytree(both, tmp_path, dirs_exist_ok=True)
    answer = json.loads(cli("compare", name, "leaky", "fixed", "--json").stdout)
    assert answer["gauges"]["kept"]["lower"]
    assert answer["gauges"]["kept"]["before"] == pytest.approx(1)
    printed = cli("compare", "captures/mine/leaky", "captures/mine/fixed").stdout
    assert "mine leaky" in printed
    assert "leak → " in printed
    assert "leaky, fixed" in the_error(cli("compare", name, "leaky", "fxed"))


@pytest.mark.parametrize(
    ("kind", "name", "begins"),
    [
        ("speedscope", "arc-auth_cache-leaky.speedscope.json", b"{"),
        ("collapsed", "arc-auth_cache-leaky.collapsed.txt", b"serve ("),
        ("pprof", "arc-auth_cache-leaky.pb.gz", b"\x1f\x8b"),
    ],
)
def test_stacks_are_exported_for_other_viewers(cli, tmp_path, kind, name, begins):
    """`export` writes one variant's stacks in each format, and says which file it wrote."""
    stored = unpacked("arc/auth_cache") / "leaky"
    result = cli("export", str(stored), "--format", kind)
    assert (result.stdout, result.returncode) == (f"{name}\n", 0)
    content = (tmp_path / name).read_bytes()
    # Lines of stacks are in any order.
    assert content.startswith(begins) or (kind == "collapsed" and b"\n" + begins in content)
    named = cli("export", str(stored), "--format", kind, "-o", "mine")
    assert named.stdout == "mine\n"
    assert (tmp_path / "mine").read_bytes() == (tmp_path / name).read_bytes()


def test_nothing_is_written_over_what_is_read_or_was_there(cli, tmp_path):
    """The input of `open` and `export` stays, and so does a file with the name of an export."""
    capture = foreign.record(tmp_path / "elsewhere")
    content = capture.read_bytes()
    for arguments in (("open",), ("export", "--format", "collapsed")):
        told = the_error(cli(*arguments, str(capture), "-o", str(capture)))
        assert "would be overwritten by its own report" in told
    assert capture.read_bytes() == content
    mine = tmp_path / "arc-auth_cache.csv"
    mine.write_text("mine")
    stored = unpacked("arc/auth_cache") / "leaky"
    assert "exists; name a file with -o" in the_error(cli("export", str(stored), "--format", "csv"))
    assert mine.read_text() == "mine"


def test_a_capture_of_any_program_is_exported(cli, tmp_path):
    """`export FILE` writes what grew in a file that memray wrote, named after it."""
    pytest.importorskip("memray")
    folder = tmp_path / "elsewhere"
    capture = foreign.record(folder)
    result = cli("export", str(capture), "--format", "collapsed")
    assert result.stdout == "some.collapsed.txt\n"
    where, name, line = foreign.LEAK
    written = (tmp_path / "some.collapsed.txt").read_text()
    assert re.search(rf"{name} \({where}:{line}\) \d{{4}}", written)
    assert str(folder) not in written


def test_what_cannot_be_exported_is_said(cli):
    """Two variants at once, captures without stacks and an unknown format are told in one line."""
    stored = unpacked("arc/auth_cache")
    assert "auth_cache fixed: name the folder of one" in the_error(cli("export", str(stored)))
    gauges = str(stored / "leaky" / "gauges-01")
    assert "no stacks of two steady marks" in the_error(cli("export", gauges))
    leaky = str(stored / "leaky")
    assert "choose speedscope, collapsed, pprof" in the_error(cli("export", leaky, "--format", "x"))
    assert "cannot write" in the_error(cli("export", leaky, "-o", "no/such/folder"))


def test_options_reach_the_run(cli, write, tmp_path):
    """Variant, runs, steps, seed, parameters and folder are what the manifest says was run."""
    name = write(BEFORE_AND_AFTER, "mine.py")
    options = "--variant leaky --runs 1 --steps 30 --seed 7 --set size=10 --set keep=false --out d"
    result = cli("capture", name, *options.split(), "--python", sys.executable)
    assert result.returncode == 0
    assert result.stdout.split() == ["d/mine/leaky"]
    (folder,) = (tmp_path / "d/mine").rglob("gauges-*/manifest.json")
    manifest = json.loads(folder.read_text())
    assert (manifest["variant"], manifest["steps"], manifest["seed"]) == ("leaky", 30, 7)
    assert manifest["params"] == {"size": 10, "keep": False}
    judged = cli("judge", name, "--out", "d")
    assert "judged without fixed: not captured" in judged.stderr


def test_claims_are_one_row_each(cli, both, tmp_path):
    """`claims` judges all captures in a folder, for people, for programs and for a README."""
    shutil.copytree(both / "captures", tmp_path / "d")
    printed = cli("claims", "d")
    # Not as declared: the heap grows as well, of which the file says nothing.
    assert (printed.returncode, printed.stderr) == (1, "")
    assert "Not as declared: mine." in printed.stdout
    rows = json.loads(cli("claims", "d", "--json").stdout)
    assert [row["scenario"] for row in rows] == ["mine"]
    assert "| `mine` |" in cli("claims", "d", "--markdown").stdout


def test_budgets_of_ones_own_are_held(cli, leak_here, tmp_path):
    """`judge --budgets` tells what is over a budget of a file, and refuses one that is none."""
    (tmp_path / "my.toml").write_text("[budget.mine]\ngauges = ['fds']\nper_hour = 100\n")
    judged = cli("judge", leak_here, "--budgets", "my.toml", "--json")
    rows = {row["budget"]: row for row in json.loads(judged.stdout)["budgets"]}
    assert rows["mine"]["holds"] is False
    assert rows["mine"]["measured"] == 3600
    assert set(rows) == {"mine"}
    assert "is no TOML" in the_error(cli("judge", leak_here, "--budgets", "work.py"))
