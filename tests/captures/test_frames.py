"""Reading captures: whole ones load, all others are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import captures
from helpers import traces as made

from resleak.captures import frames, load, storage, tables
from resleak.errors import StoreError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a folder with three runs of two variants."""
    for variant in ("fixed", "leaky"):
        trace = made.trace(made.ramp(1.0), gauge="fds")
        captures.write(tmp_path, captures.scenario(), variant, trace)
    return tmp_path


def first(root: Path) -> Path:
    return storage.folders(root)[0]


def test_captures_come_in_the_declared_order(root: Path) -> None:
    """Leaky comes before fixed, though the alphabet has it otherwise."""
    assert load.load(root).variants == ["leaky", "fixed"]


def test_one_folder_or_all_above_it(root: Path) -> None:
    """Any folder loads what is at or below it."""
    assert len(load.load(root)) == 6
    assert len(load.load(root / "made" / "up" / "leaky")) == 3
    assert len(load.load(first(root))) == 1


def test_units_come_with_the_columns(root: Path) -> None:
    """The unit of a column is stored with it."""
    assert load.load(root)[0].trace.attrs["units"]["fds"] == "descriptors"
    assert frames.traces(load.load(root)).attrs["units"]["fds"] == "descriptors"


def test_joined_traces_keep_every_row(root: Path) -> None:
    """Joining loses no reading and tells whose each is."""
    loaded = load.load(root)
    joined = frames.traces(loaded)
    assert len(joined) == sum(len(c.trace) for c in loaded)
    assert set(joined["variant"]) == {"leaky", "fixed"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda m: m.update(status="incomplete"), "is incomplete"),
        (lambda m: m.update(schema=99), "has schema 99"),
        (lambda m: m.pop("schema"), "has schema None"),
    ],
    ids=["incomplete", "other schema", "no schema"],
)
def test_unusable_capture_is_left_out_by_name(root: Path, change: object, told: str) -> None:
    """An incomplete or foreign capture is left out with a warning, and the others load."""
    path = first(root) / storage.MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)  # type: ignore[operator]
    path.write_text(json.dumps(manifest))
    with pytest.warns(UserWarning, match=told):
        assert len(load.load(root)) == 5


@pytest.mark.parametrize("cut", [0, 1, 40, 400])
def test_truncated_manifest_is_left_out(root: Path, cut: int) -> None:
    """A manifest cut anywhere never loads."""
    path = first(root) / storage.MANIFEST
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.warns(UserWarning, match="damaged"):
        assert len(load.load(root)) == 5


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
def test_truncated_table_is_told(root: Path, share: float) -> None:
    """A table cut anywhere is an error that names it, never a shorter table."""
    path = first(root) / "trace.parquet"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(StoreError, match=r"trace\.parquet is damaged"):
        frames.Capture(path.parent).table("trace")


def test_missing_table_is_told(root: Path) -> None:
    """A capture without its table says which is missing."""
    (first(root) / "trace.parquet").unlink()
    with pytest.raises(StoreError, match="is missing"):
        frames.Capture(first(root)).table("trace")


def test_nothing_there_says_what_to_do(tmp_path: Path) -> None:
    """A folder without captures is an error with the command that makes some."""
    with pytest.raises(StoreError, match="resleak capture NAME"):
        load.load(tmp_path)


def test_partial_folders_are_never_loaded(root: Path) -> None:
    """What a killed run left in a hidden folder is invisible."""
    folder = first(root)
    folder.rename(folder.with_name(f".{folder.name}.incomplete-1-0123abcd"))
    assert len(load.load(root)) == 5


def test_a_table_without_its_columns_is_told(root: Path) -> None:
    """A table of another version, or of somebody else's making, is refused by what it lacks."""
    path = first(root) / "trace.parquet"
    columns = load.load(first(root))[0].trace.drop(columns="moment")
    tables.write_table(path, {name: columns[name].to_numpy() for name in columns}, {})
    with pytest.raises(StoreError, match=r"trace\.parquet of made/up fixed has no moment"):
        load.load(first(root))[0].table("trace")
