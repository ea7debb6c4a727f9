"""The wheel works in an empty folder, without a clone and with few packages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from uv import find_uv_bin

from resleak.workload import catalog

ROOT = Path(__file__).parent.parent
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
LISTED = BUILD["hooks"]["custom"]
WORK = "import os\nkept = []\ndef step(i): kept.append(os.open(os.devnull, 0))\n"
#: What the extra `lab` brings, and nothing of the core.
LAB = {"IPython", "ipywidgets", "jupyterlab", "nbconvert", "nh3", "plotly"}


def loaded_by_notebooks() -> set[str]:
    books = [json.loads(path.read_text("utf-8")) for path in (ROOT / "notebooks").glob("*.ipynb")]
    cells = [cell for book in books for cell in book["cells"] if cell["cell_type"] == "code"]
    code = "\n".join("".join(cell["source"]) for cell in cells)
    return {name for name in catalog.paths() if name in code}


def test_a_wheel_has_the_captures_that_notebooks_load():
    """pyproject.toml lists every scenario that a notebook names, and no other."""
    assert set(LISTED["captures"]) == loaded_by_notebooks()


def uv(*arguments: object) -> None:
    command = [find_uv_bin(), *map(str, arguments), "--quiet", "--system-certs"]
    subprocess.run(command, check=True, cwd=ROOT)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--wheel", "-o", folder)
    return next(folder.glob("*.whl"))


def installed(wheel: Path, folder: Path, *packages: str, extra: str = "") -> Path:
    """Install the wheel into an environment of its own; return the folder of its commands."""
    uv("venv", folder, "--python", sys.executable)
    what = f"resleak{extra} @ {wheel.as_uri()}"
    uv(
        "pip",
        "install",
        "--python",
        folder / "bin/python",
        "-c",
        "constraints.txt",
        what,
        *packages,
    )
    return folder / "bin"


@pytest.fixture(scope="module")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the core, and pytest."""
    return installed(wheel, tmp_path_factory.mktemp("core"), "pytest")


@pytest.fixture(scope="module")
def lab(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install what notebooks need, too."""
    return installed(wheel, tmp_path_factory.mktemp("lab"), extra="[lab]")


def run(folder: Path, command: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
    line = [command, *arguments]
    return subprocess.run(line, cwd=folder, env=clean, capture_output=True, text=True)


@pytest.mark.nightly
def test_the_wheel_is_small(wheel):
    """Captures take at most 6 MB of it, and every listed scenario is there."""
    files = {one.filename: one.compress_size for one in zipfile.ZipFile(wheel).infolist()}
    data = {name: size for name, size in files.items() if "/shipped/data/" in name}
    assert sum(data.values()) <= 6e6
    names = {f"resleak/shipped/data/captures/{one}/captures.tar.xz" for one in LISTED["captures"]}
    assert names <= data.keys()


@pytest.mark.nightly
def test_the_core_investigates(core, tmp_path):
    """Without Jupyter and plotly an own function is judged, and its line is named."""
    packages = {path.name for path in core.parent.glob("lib/python*/site-packages/*")}
    assert not packages & LAB
    (tmp_path / "mine.py").write_text(WORK)
    done = run(tmp_path, core / "resleak", "investigate", "mine.py")
    assert done.returncode == 1, done.stderr
    assert "opened at mine.py:3 in step" in " ".join(done.stdout.split())


@pytest.mark.nightly
def test_the_core_checks_tests(core, tmp_path):
    """The pytest plugin needs no more than the core."""
    mark = "import pytest\n@pytest.mark.resleak(steps=60, fds=0)\ndef test_one(): step(0)\n"
    (tmp_path / "test_it.py").write_text(WORK + mark)
    done = run(tmp_path, core / "pytest", "-q", "test_it.py")
    assert done.returncode == 1
    assert "opened at test_it.py:3" in " ".join(done.stdout.split())


@pytest.mark.nightly
@pytest.mark.parametrize("words", ["share 03", "lab", "investigate mine.py -o report.html"])
def test_a_missing_part_is_one_line(core, tmp_path, words):
    """What needs the extra says so in one line with the command, and measures nothing."""
    (tmp_path / "mine.py").write_text(WORK)
    done = run(tmp_path, core / "resleak", *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(r"pip install 'resleak\[lab\] @ file://\S+\.whl'\n$", done.stderr)
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


@pytest.mark.nightly
def test_the_register_is_inside(core, tmp_path):
    """`claims` has a row for each claim, also of captures that the wheel has not."""
    done = run(tmp_path, core / "resleak", "claims", "--json")
    kept = json.loads((ROOT / "data" / "captures" / "register.json").read_text("utf-8"))
    rows = json.loads(done.stdout)
    assert [row["scenario"] for row in rows] == [row["scenario"] for row in kept]
    assert [row["outcome"] for row in rows] == [row["outcome"] for row in kept]


#: The notebook of sweeps needs the extra `cluster`, and the stored sweep of the repository.
BOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb") if path.stem[:2] != "05")


@pytest.mark.nightly
@pytest.mark.parametrize("name", BOOKS)
def test_every_notebook_runs_from_the_wheel(lab, tmp_path, name):
    """Each notebook is executed from the captures inside, and its own checks hold."""
    done = run(tmp_path, lab / "resleak", "share", name[:2])
    assert (done.returncode, done.stdout) == (0, f"{name}.html\n"), done.stderr


@pytest.mark.nightly
def test_notebooks_are_copied_and_kept(core, tmp_path):
    """`notebooks DIR` copies them with their captures, and leaves a changed one as it is."""
    first = tmp_path / "here" / "notebooks" / "00_start_here.ipynb"
    assert run(tmp_path, core / "resleak", "notebooks", "here").returncode == 0
    assert list((tmp_path / "here" / "data" / "captures").glob("arc/auth_cache/captures.tar.xz"))
    first.write_text("mine")
    again = run(tmp_path, core / "resleak", "notebooks", "here")
    assert again.stderr.startswith("resleak: 0 files copied")
    assert first.read_text() == "mine"
