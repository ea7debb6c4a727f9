"""What several test files share: where the project is, and a browser without a network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from helpers.leaks import SOURCE, Leak

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# nbformat imports jsonschema, which would build 38 parsers of addresses: 2.6 s of processor time.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

#: Files whose tests share no fixture: any worker takes the next one.
TEST_BY_TEST = {
    "test_every_notebook",
    "test_every_scenario",
    "test_flame_browser",
    "test_flame_places",
    "test_opens",
}
#: Files that keep a worker busy for more than about 20 s, longest first.
LONGEST = (
    "test_cli",
    "test_investigate",
    "test_sweep",
    "test_pytest_plugin",
    "test_magics",
    "test_runner",
    "test_watch",
    "test_record",
    "test_exits",
    "test_untrusted",
    "test_panel",
    "test_lab_browser",
    "test_register",
    "test_share",
    "test_storage",
    "test_handles",
    "test_certainty",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Of a browser in a container that must look up nobody: not a host, not its own updates.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


@pytest.fixture(scope="session", autouse=True)
def heeds_sigint() -> None:
    """Undo what shells do to background jobs: these ignore SIGINT, and so do all they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of Chromium; without it the test is skipped, or fails where it must run."""
    if not (path := found()):
        told = "needs Chromium on the PATH, or its path in RESLEAK_CHROMIUM"
        if os.environ.get("RESLEAK_REQUIRE_BROWSER") == "1":
            pytest.fail(told)
        pytest.skip(told)
    return path


def found() -> str:
    return os.environ.get("RESLEAK_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), "")


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """Start Chromium with every host but this one out of reach."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an interpreter that has no packages at all."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="session")
def leak(tmp_path_factory: pytest.TempPathFactory) -> Leak:
    """Investigate a leak once, with all instruments, for all tests that only read the result."""
    from resleak.experiments.investigate import investigate

    folder = tmp_path_factory.mktemp("leak")
    file, captures = folder / "work.py", folder / "captures"
    file.write_text(SOURCE)
    return Leak(file, captures, investigate(str(file), out=captures, runs=2, steps=60))


@pytest.fixture
def leak_here(leak: Leak, tmp_path: Path) -> str:
    """Copy the leak and its captures to the test's folder, and return the file's name."""
    shutil.copytree(leak.file.parent, tmp_path, dirs_exist_ok=True)
    return leak.file.name


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run resleak in an empty folder, within this process: without its start, which takes 1 s."""
    before = signal.getsignal(signal.SIGINT)
    from resleak import __main__

    signal.signal(signal.SIGINT, before)
    from resleak.captures.decode import launch
    from resleak.ui import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(cli.console, "guard_output", lambda: None)  # it replaces sys.stdout
    monkeypatch.setattr(__main__, "_end_in_good_order", lambda *names: None)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["resleak", *map(os.fsdecode, arguments)])
        with pytest.raises(SystemExit) as end:
            __main__.main()
        while launch._begun:  # what the end of a process would end
            _, worker = launch._begun.popitem()
            launch._end(worker)
            worker.communicate()
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, end.value.code, *printed)

    return run


@pytest.fixture(scope="session")
def project() -> Path:
    """Return the folder of the repository."""
    return Path(__file__).parent.parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out a file at a time, for its fixtures, and of some files a test at a time.

    Not with ``--dist loadgroup``, which does nothing under pytest 9.2 (pytest-xdist issue 1386).
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return nodeid if Path(file).stem in TEST_BY_TEST else file

    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first and single tests last, so that all workers end together."""
    places = {stem: place for place, stem in enumerate(LONGEST)}

    def key(item: pytest.Item) -> tuple[bool, bool, int]:
        is_single = item.path.stem in TEST_BY_TEST
        is_short = is_single and item.get_closest_marker("slow") is None
        return is_single, is_short, places.get(item.path.stem, len(places))

    items.sort(key=key)
