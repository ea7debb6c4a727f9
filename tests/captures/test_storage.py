"""Captures are written whole or not at all, and nothing else is ever deleted."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import captures, traces

from resleak.captures import files, locks, names, raw, storage
from resleak.captures.decode import memray_file
from resleak.captures.frames import Capture
from resleak.errors import CaptureError, StoreError
from resleak.harness import runner

VARIANT = ("made", "up", "leaky")


def write(root: Path, per_step: float = 1.0) -> Path:
    """Write one capture, and return its folder."""
    trace = traces.trace(traces.ramp(per_step), gauge="fds", runs=1)
    captures.write(root, captures.scenario(), "leaky", trace)
    return root.joinpath(*VARIANT, "gauges-01")


def content(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def fail_while_writing(folder: Path) -> None:
    with storage.writing(folder) as partial:
        files.write_json(partial / storage.MANIFEST, {})
        raise RuntimeError


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    """A pipe gets the content and stays a pipe; nothing is left beside it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    with files.atomic(pipe) as temporary:
        temporary.write_bytes(b"content")
    assert reader.communicate(timeout=10)[0] == b"content"
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_capture_appears_only_when_whole(tmp_path: Path) -> None:
    """The folder does not exist before the block ends, and nothing else does after it."""
    with storage.writing(tmp_path / "run") as partial:
        (partial / "file").write_text("x")
        assert not (tmp_path / "run").exists()
        assert partial.stat().st_mode & 0o077 == 0
    assert content(tmp_path) == {"run/file": b"x"}
    assert (tmp_path / "run").stat().st_mode == tmp_path.stat().st_mode


def test_a_new_capture_replaces_the_old_one(tmp_path: Path) -> None:
    """The second capture of a variant is the only one that is left."""
    write(tmp_path, 1.0)
    before = Capture(write(tmp_path, 1.0)).trace["fds"].iloc[-1]
    folder = write(tmp_path, 2.0)
    assert Capture(folder).trace["fds"].iloc[-1] > before
    assert [path.name for path in folder.parent.iterdir()] == ["gauges-01"]


def test_error_leaves_the_earlier_capture(tmp_path: Path) -> None:
    """A failed rewrite keeps what was there, and marks what it has as incomplete."""
    folder = write(tmp_path)
    before = content(folder)
    with pytest.raises(RuntimeError):
        fail_while_writing(folder)
    assert content(folder) == before
    (incomplete,) = folder.parent.glob("gauges-01.incomplete-*")
    assert (incomplete / storage.MANIFEST).exists()
    assert incomplete.stat().st_mode & 0o077 == 0


def foreign(folder: Path, kind: str) -> None:
    """Put something of the user's into the place of a capture."""
    if kind == "file":
        folder.parent.mkdir(parents=True)
        folder.write_text("mine")
    elif kind == "link":
        target = folder.parents[3] / "mine"
        target.mkdir()
        (target / "notes.txt").write_text("mine")
        folder.parent.mkdir(parents=True)
        folder.symlink_to(target)
    else:
        folder.mkdir(parents=True)
        (folder / "notes.txt").write_text("mine")
        (folder / "manifest.json").write_text(kind)


@pytest.mark.parametrize(
    "kind", ["file", "link", "", "{", "null", '{"name": "My PWA"}', '{"schema": 1}', "[" * 5000]
)
def test_what_is_not_ours_stays(tmp_path: Path, kind: str) -> None:
    """Whatever else lies in a capture's place is refused in one line, and is left as it was."""
    folder = tmp_path.joinpath(*VARIANT, "gauges-01")
    foreign(folder, kind)
    before = content(tmp_path)
    with pytest.raises(CaptureError, match="left alone; choose another --out") as error:
        fail_while_writing(folder)
    assert "\n" not in str(error.value)
    assert content(tmp_path) == before


def test_a_capture_of_another_variant_stays(tmp_path: Path) -> None:
    """A capture that was copied to another variant's place is not overwritten."""
    folder = write(tmp_path)
    other = folder.parents[1] / "fixed" / "gauges-01"
    other.parent.mkdir()
    folder.rename(other)
    with pytest.raises(CaptureError, match="left alone"):
        fail_while_writing(other)
    assert Capture(other).variant == "leaky"


def test_only_captures_of_other_sessions_retire(tmp_path: Path) -> None:
    """Folders of the user's, deep ones and links survive; an earlier session's captures do not."""
    folder = write(tmp_path)
    variant = folder.parent
    foreign(variant / "static", '{"name": "My PWA"}')
    foreign(variant / "gauges-02", "{}")
    (variant / "gauges-03").symlink_to(folder)
    storage.retire(variant, "made up")
    assert folder.exists()
    storage.retire(variant, "another session")
    assert not folder.exists()
    assert {path.name for path in variant.iterdir()} == {"static", "gauges-02", "gauges-03"}


def test_a_file_of_the_users_in_a_capture_stays(tmp_path: Path) -> None:
    """The next run is refused in a line that names it; a capture of another session goes alone."""
    folder = write(tmp_path)
    note = folder / "notes.parquet"
    note.write_text("mine")
    before = content(tmp_path)
    with pytest.raises(CaptureError, match=r"notes\.parquet is no part of .*; move it") as error:
        fail_while_writing(folder)
    assert "\n" not in str(error.value)
    assert content(tmp_path) == before
    storage.retire(folder.parent, "another session")
    assert note.read_text() == "mine"
    assert storage.folders(tmp_path) == []


@pytest.mark.parametrize("instrument", raw.INSTRUMENTS)
def test_every_table_of_a_capture_is_known(instrument: str, project: Path) -> None:
    """No table that an instrument stores is taken for a file of the user's."""
    stored = project / "data" / "captures" / "pl_drivers" / "driver_maps"
    folders = [one for one in storage.folders(stored) if one.name.startswith(instrument)]
    known = {f"{table}.parquet" for table in raw.INSTRUMENTS[instrument].tables}
    for folder in folders:
        assert {path.name for path in storage.table_files(folder)} <= known
    assert folders


def test_leftovers_of_a_dead_run_are_removed(tmp_path: Path) -> None:
    """What a killed run left is removed by the next one, and what it moved aside comes back."""
    folder = write(tmp_path)
    left = folder.with_name(".gauges-01.incomplete-1-0123abcd")
    left.mkdir()
    folder.rename(folder.with_name(".gauges-01.replaced-1-0123abcd"))
    other = folder.with_name(".gauges-02.incomplete-1-0123abcd")
    other.mkdir()
    with pytest.raises(RuntimeError):
        fail_while_writing(folder)
    assert Capture(folder).variant == "leaky"
    assert not left.exists()
    assert other.exists()


def test_unfinished_work_of_a_live_run_stays(tmp_path: Path) -> None:
    """A second writer of the same place leaves the first one's work alone."""
    folder = write(tmp_path)
    with storage.writing(folder) as first:
        (first / "file").write_text("first")
        with pytest.raises(RuntimeError):
            fail_while_writing(folder)
        assert (first / "file").read_text() == "first"
        storage.write_manifest(first, storage.read_manifest(folder))
    assert (folder / "file").read_text() == "first"


def test_a_second_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one process writes to a place, another is refused in one line."""
    monkeypatch.setattr(storage, "_WAIT_S", 0.1)
    code = "import sys, pathlib; from resleak.captures import storage\n"
    code += "with storage.claimed(pathlib.Path(sys.argv[1])): print(flush=True); input()"
    command = [sys.executable, "-c", code, str(tmp_path / "app")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        with (
            pytest.raises(CaptureError, match="another run writes to"),
            storage.claimed(tmp_path / "app"),
        ):
            pass
        other.communicate(b"\n")
    with storage.claimed(tmp_path / "app"):
        assert (tmp_path / "app").is_dir()


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "/etc",
        "a\\b",
        "a\nb",
        "a\0b",
        "\x1b[2J",
        "\u202e",
        "é" * 60,
    ],
)
def test_names_that_are_no_file_names_are_refused(tmp_path: Path, name: str) -> None:
    """A name with separators, dots, controls or too many bytes is refused in one line."""
    with pytest.raises(StoreError, match="choose another") as error:
        names.safe_name(name)
    assert "\n" not in str(error.value)
    if "/" not in name:
        with pytest.raises(StoreError):
            names.inside(tmp_path, name)


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    """A link within --out that leads elsewhere is no place for captures."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "app").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="leads out of"):
        names.inside(tmp_path / "out", "app", "leaky")
    assert names.inside(tmp_path / "out", "made/up", "leaky").parts[-3:] == VARIANT


def resleak(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    project = Path(storage.__file__).parents[2]
    command = [sys.executable, "-m", "resleak", *arguments]
    env = {**os.environ, "PYTHONPATH": str(project)}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def users_files(folder: Path, where: str) -> dict[str, bytes]:
    place = folder / where
    place.mkdir(parents=True)
    (place / "manifest.json").write_text(json.dumps({"name": "My PWA"}))
    (place / "app.css").write_text("body {}")
    return content(folder)


def test_record_leaves_the_users_folders_alone(tmp_path: Path) -> None:
    """`record --out .` beside a web app's manifest adds captures and removes nothing."""
    before = users_files(tmp_path, "app/static")
    (tmp_path / "app.py").write_text("import time; time.sleep(30)")
    command = [sys.executable, "app.py"]
    done = resleak("record", "--out", ".", "--for", "2s", "--", *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert before.items() <= content(tmp_path).items()


@pytest.mark.parametrize("name", ["..", "a\nb"])
def test_record_refuses_names_that_lead_out(tmp_path: Path, name: str) -> None:
    """`record --name ..` ends with 2 and one line, starts nothing and deletes nothing."""
    write(tmp_path / "captures")
    before = content(tmp_path)
    command = [sys.executable, "-c", "open('started', 'w')"]
    done = resleak("record", "--name", name, "--", *command, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert content(tmp_path) == before


def test_memray_overwrites_no_file_of_the_users(tmp_path: Path) -> None:
    """A file or link in the place of a memray recording is refused; memray's own is not."""
    file = tmp_path / "memray.bin"
    memray_file.refuse_foreign(file)
    file.write_bytes(b"memray\0" + bytes(100))
    memray_file.refuse_foreign(file)
    for make in (lambda: file.write_text("mine"), file.mkdir, lambda: file.symlink_to(tmp_path)):
        file.unlink()
        make()
        with pytest.raises(CaptureError, match="left alone"):
            memray_file.refuse_foreign(file)
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
            file.touch()


def test_capture_leaves_the_users_folders_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A capture of `cap.py` beside a folder of its name adds captures, and removes nothing."""
    before = users_files(tmp_path, "cap/workload/ext")
    (tmp_path / "cap.py").write_text("def step(i): pass")
    monkeypatch.chdir(tmp_path)
    (folder,) = runner.capture("cap.py", out=".", runs=1, steps=12, stacks=False)
    assert before.items() <= content(tmp_path).items()
    assert folder.relative_to(tmp_path) == Path("cap/workload/gauges-01")


def test_a_variant_named_as_a_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variant called `..` is refused in one line, and every stored capture stays."""
    write(tmp_path / "captures")
    before = content(tmp_path / "captures")
    text = "from resleak import Scenario\nscenario = Scenario(stacks=False)\n"
    (tmp_path / "cap.py").write_text(text + "@scenario.variant('..')\ndef leaky(i, world): pass\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="starts with a dot; choose another"):
        runner.capture("cap.py", runs=1, steps=12, stacks=False)
    assert content(tmp_path / "captures") == before


def test_full_disk_is_told_and_cleaned_up(tmp_path: Path) -> None:
    """Without space on the disk the error says so and no half capture stays."""
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(CaptureError, match="disk is full"), storage.writing(tmp_path / "run"):
        raise full
    assert list(tmp_path.iterdir()) == []


def test_json_is_replaced_at_once(tmp_path: Path) -> None:
    """Writing over a file leaves no temporary file behind."""
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})
    files.write_json(path, {"a": 2, "b": float("nan")})
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert json.loads(path.read_text()) == {"a": 2, "b": None}


def test_where_locks_are_refused_nothing_is_a_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system without locks captures are stored, and what may be in use is kept."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("fcntl.flock", refuse)
    with locks.temporary_folder() as used, storage.claimed(tmp_path / "made" / "up"):
        os.utime(used, (time.time() - 3600,) * 2)
        folder = tmp_path.joinpath(*VARIANT, "gauges-01")
        unfinished = folder.with_name(".gauges-01.incomplete-1-0123abcd")
        unfinished.mkdir(parents=True)
        assert Capture(write(tmp_path)).variant == "leaky"
        with locks.temporary_folder():
            assert used.is_dir()
        assert unfinished.is_dir()
