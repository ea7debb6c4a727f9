"""What may be named as a workload, and how each kind is run."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from resleak.captures import frames
from resleak.errors import CaptureError, MissingPackageError, ScenarioError
from resleak.harness.runner import capture
from resleak.workload import resolve

QUICK = {"runs": 1, "steps": 24, "stacks": False}
TESTS = """
    import warnings

    import pytest

    kept, sessions = [], []

    @pytest.fixture(scope="session")
    def server():
        sessions.append(1)
        yield sessions

    @pytest.fixture
    def client(server, tmp_path):
        kept.append("open")
        yield server
        kept.remove("open")

    class TestUpload:
        @pytest.mark.parametrize("name", ["a/b", "c"])
        def test_clean(self, name, client, monkeypatch):
            \"\"\"Nothing stays.\"\"\"
            assert (kept, len(client)) == (["open"], 1)
            assert not hasattr(self, "seen")
            self.seen = True
            warnings.warn(name)

    def test_grows(client):
        kept.insert(0, bytes(4000))

    def test_fails():
        assert kept == "something", "the message"

    @pytest.mark.skip(reason="not today")
    def test_skipped():
        pass
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a folder with tests, beside options of a project that pytest does not know."""
    (tmp_path / "test_api.py").write_text(textwrap.dedent(TESTS))
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, body: str) -> str:
    path = folder / "work.py"
    path.write_text(textwrap.dedent(body))
    return str(path)


def measured(what: str, folder: Path, **options: object) -> frames.Capture:
    (one,) = capture(what, out=folder / "out", **{**QUICK, **options})  # type: ignore[arg-type]
    return frames.Capture(one)


def after_collections(captured: frames.Capture, gauge: str) -> list[float]:
    trace = captured.trace.query("moment == 'after_collect' and phase == 'steady'")
    return list(trace[gauge])


def test_a_test_is_a_step(suite: Path) -> None:
    """A class of tests runs once a step: function fixtures are renewed, session fixtures stay."""
    captured = measured("test_api.py::TestUpload", suite)
    assert captured.scenario == "test_api.TestUpload"
    assert captured.manifest.scenario.title == "Nothing stays."
    assert captured.exit.status == "exited"
    objects = after_collections(captured, "objects")
    assert max(objects[3:]) - min(objects[3:]) <= 2


def test_what_a_test_keeps_is_seen(suite: Path) -> None:
    """A test that keeps 4 000 bytes grows by them."""
    captured = measured("test_api.py::test_grows", suite)
    bytes_after = after_collections(captured, "heap")
    grown = (bytes_after[-1] - bytes_after[3]) / (2 * (len(bytes_after) - 4))
    assert grown == pytest.approx(4033, rel=0.1)


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("test_fails", CaptureError, "at line 32: AssertionError: the message assert"),
        ("test_skipped", CaptureError, "the test is skipped: .*not today"),
        ("test_absent", ScenarioError, "test_api.py::test_absent: pytest finds no such test"),
    ],
)
def test_a_test_that_cannot_be_repeated_says_why(
    suite: Path, name: str, error: type[Exception], told: str
) -> None:
    """A test that fails, is skipped or is not there ends the run with its own message."""
    with pytest.raises(error, match=told):
        measured(f"test_api.py::{name}", suite)


def test_a_test_file_that_cannot_be_collected_says_why(suite: Path) -> None:
    """A test file with an error in it is told with that error."""
    (suite / "test_api.py").write_text("import not_there_at_all")
    with pytest.raises(ScenarioError, match=r"cannot be collected: .*not_there_at_all"):
        measured("test_api.py::test_x", suite)


def test_a_function_of_a_module_is_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``package.module:function`` is called with the step's number, if it needs an argument."""
    (tmp_path / "mine.py").write_text(
        "seen = []\ndef one(i): assert i == len(seen); seen.append(i)\n"
        "def none(size=3): assert size == 3\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("one", "none"):
        assert measured(f"mine:{name}", tmp_path).scenario == f"mine.{name}"
    with pytest.raises(ScenarioError, match="the module mine has no two"):
        measured("mine:two", tmp_path)
    with pytest.raises(ScenarioError, match="is a list, nothing to call"):
        measured("mine:seen", tmp_path)


def test_what_a_function_returns_is_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain function that returns an awaitable does its work, as a step of a file does."""
    (tmp_path / "later.py").write_text(
        "kept = []\nasync def work(i): kept.append(bytes(4000))\ndef wrapped(i): return work(i)\n"
    )
    monkeypatch.chdir(tmp_path)
    bytes_after = after_collections(measured("later:wrapped", tmp_path), "heap")
    assert bytes_after[-1] - bytes_after[-2] > 4000


def test_a_function_with_a_yield_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call of a generator runs nothing of it, however it is named as a workload."""
    gen = "def {0}(*_):\n    yield\nasync def a{0}(*_):\n    yield\n"
    (tmp_path / "lazy.py").write_text(gen.format("gen"))
    monkeypatch.chdir(tmp_path)
    for name in ("lazy:gen", "lazy:agen"):
        with pytest.raises(ScenarioError, match=f"{name} has a yield, so a call runs nothing"):
            measured(name, tmp_path)
    for body, what in (
        (gen.format("step"), r"step\(i\)"),
        ("def step(i): pass\n" + gen.format("teardown"), r"teardown\(\)"),
        ("from resleak import scenario\n@scenario\n" + gen.format("one"), "variant 'workload'"),
    ):
        with pytest.raises(ScenarioError, match=f"{what} has a yield"):
            measured(write(tmp_path, body), tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        "async def setup():\n    yield []\nasync def step(i, world): world.append(i)",
        "def setup():\n    yield []\ndef step(i, world): world.append(i)",
        "async def setup(run): return []\ndef step(i, world): world.append(i)",
        "def setup(): return []\nasync def step(i, world): world.append(i)",
    ],
)
def test_a_plain_file_may_be_async_and_have_a_world(tmp_path: Path, body: str) -> None:
    """Set-up and steps may be async; what the set-up yields or returns reaches all functions."""
    body += "\ndef gauges(world): return {'items': len(world)}"
    body += "\ndef teardown(world): assert len(world) == 48"
    captured = measured(write(tmp_path, body), tmp_path)
    steps = captured.trace.query("moment == 'step'")
    assert list(steps["items"]) == [float(step) for step in steps["step"]]
    assert [one.name for one in captured.manifest.scenario.own_gauges] == ["items"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("def step(i): pass\ndef gauges(): return [1]", "a dict of numbers by name"),
        ("def step(i): pass\ndef gauges(): return {'fds': 1}", "fds, which is built in"),
        ("def step(i): pass\ndef gauges(): return {'requests': 1}", "requests, which is built in"),
        ("def step(i): pass\ndef gauges(): return {'run': 1}", "cannot be named 'run'"),
        ("def step(i): pass\ndef gauges(): return {'block': 1}", "cannot be named 'block'"),
        ("def step(a, b, c): pass", r"step\(a, b, c\) needs 3 arguments, and gets 2"),
    ],
)
def test_functions_that_do_not_fit_are_told(tmp_path: Path, body: str, told: str) -> None:
    """Gauges that are no numbers, and a step that wants too much, end the run with a sentence."""
    with pytest.raises(CaptureError, match=told):
        measured(write(tmp_path, body), tmp_path)


def test_a_gauge_may_have_the_name_of_a_text_column(tmp_path: Path) -> None:
    """Columns of texts in other tables are free names for a workload's own gauges."""
    body = "kept = []\ndef step(i): kept.append(i)\ndef gauges(): return {'file': len(kept)}"
    trace = measured(write(tmp_path, body), tmp_path).trace.query("moment == 'step'")
    assert list(trace["file"]) == [float(step) for step in trace["step"]]


def test_a_label_takes_a_single_variant(tmp_path: Path) -> None:
    """Captures are stored under another name only where there is one variant."""
    captured = measured(write(tmp_path, "def step(i): pass"), tmp_path, label="before")
    assert captured.variant == captured.path.parent.name == "before"
    with pytest.raises(ScenarioError, match="several variants"):
        measured("arc/auth_cache", tmp_path, label="before")


def test_an_interpreter_without_psutil_says_what_to_install(tmp_path: Path, bare: Path) -> None:
    """Without psutil nothing is measured: one line has the command that installs it."""
    with pytest.raises(MissingPackageError, match=r"lacks psutil.*-m pip install psutil memray"):
        measured(write(tmp_path, "def step(i): pass"), tmp_path, python=str(bare))


def test_names_need_no_import() -> None:
    """A workload is named by what was written alone."""
    found = resolve.find("package.module:Class.method")
    assert (found.kind, found.name) == ("function", "package.module.Class.method")
    node = resolve.find(f"{Path(__file__)}::TestX::test_y[a/b]")
    assert (node.kind, node.name) == ("test", "test_resolve.TestX.test_y[a-b]")
    assert sys.modules.get("package") is None


def test_a_long_test_id_can_name_a_folder(suite: Path) -> None:
    """Ids that differ only at their end, beyond the longest name, get different short names."""
    first, second = (
        resolve.find(f"test_api.py::test_a[{'x' * 300}{end}]", suite).name for end in "ab"
    )
    assert len(first) == len(second) == 100
    assert first != second
    assert first.startswith("test_api.test_a[xxx")


def test_the_address_in_a_test_id_is_no_path(suite: Path) -> None:
    """A parameter with slashes does not become folders."""
    found = resolve.find("test_api.py::test_a[http://x/y]", suite)
    assert found.name == "test_api.test_a[http-x-y]"
    assert found.target.endswith("::test_a[http://x/y]")
