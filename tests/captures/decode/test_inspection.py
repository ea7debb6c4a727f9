"""The journal of an inspected process, decoded: nothing of it is trusted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from resleak.captures import tables, untrusted
from resleak.captures.decode import inspection
from resleak.captures.raw import INSTRUMENTS, JOURNAL_HALF, JOURNAL_HEADER
from resleak.errors import StoreError

SITE = ["/app.py", 3, "step"]
END = {"key": "1", "what": "thread", "name": "main", "daemon": False, "holds": True}
END |= {"phase": "exit", "seconds": 2.0, "cpu_s": 0.1, "first_s": 1.0, "last_s": 3.0}
END |= {"stack": [SITE], "made": [SITE]}
STEP = {"kind": "stands", "stack": [SITE], "seconds": 1.0, "cpu_s": 0.1, "longest_s": 1.0}
STEP |= {"aside": False}
LOCK = {"thread": "a", "holder": "b", "taken": [SITE], "stack": [SITE], "deadlock": True}
LOCK |= {"seconds": 1.0, "longest_s": 1.0}
RECORD = {
    "ends": [END],
    "steps": [STEP],
    "locks": [LOCK],
    "retention": [{"type": "A", "count": 3, "per_step": 1.0, "made": ["/app.py", 3]}],
    "lost": [{"kind": "thread", "name": "a", "amount": 3, "unit": "items"}],
    "bounded": [{"path": "a.b", "size": 3, "bound": 5, "per_step": 1.0}],
    "cycles": [{"cycle": "a", "per_step": 1.0, "objects": 2, "holds": "a file"}],
    "forced": {"thread": "a", "stack": [SITE], "made": [SITE]},
    "ended": "itself",
}


def write(folder: Path, text: str) -> None:
    journal = JOURNAL_HEADER.pack(0, len(text)) + text.encode().ljust(2 * JOURNAL_HALF, b"\0")
    (folder / "forensics.raw").write_bytes(journal)


def damaged(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return copies of a record, each with one value replaced by one of another kind."""
    copies: list[dict[str, Any]] = []
    for name, value in record.items():
        rows = value if isinstance(value, list) else [value]
        fields = rows[0].items() if isinstance(rows[0], dict) else ()
        for field, old in fields:
            wrong: list[Any] = [None, {"a": 1}, 10**30 if isinstance(old, int) else "x"]
            wrong += [math.nan, math.inf] if isinstance(old, (int, float)) else [5]
            for other in wrong:
                row = {**rows[0], field: other}
                copies.append({**record, name: [row] if rows is value else row})
        copies += [{**record, name: wrong} for wrong in (5, [5], [None], [[]])]
    return copies


def test_every_table_is_written(tmp_path: Path) -> None:
    """A journal without damage gives one row in each table."""
    write(tmp_path, json.dumps(RECORD))
    ending = inspection.write(tmp_path, Path("/"), "exited")
    assert (ending.by, ending.thread) == ("itself", "a")
    for name in ("exit", "stalls", "locks", "lost", "retention", "bounded", "cycles"):
        assert len(tables.read_frame(tmp_path / f"{name}.parquet")) == 1, name


def outcome(folder: Path, text: str) -> str:
    """Decode a journal; return the error, or nothing where all tables can be read."""
    write(folder, text)
    try:
        inspection.write(folder, Path("/"), "exited")
    except StoreError as error:
        return str(error)
    expected = INSTRUMENTS["forensics"].tables.items()
    frames = {name: tables.read_frame(folder / f"{name}.parquet") for name, _ in expected}
    return " ".join(tables.check_columns(frames[name], name, columns) for name, columns in expected)


def test_no_damaged_value_gets_through(tmp_path: Path) -> None:
    """Each value of another kind gives one clear error, or tables that can be read."""
    outcomes = [outcome(tmp_path, json.dumps(record)) for record in damaged(RECORD)]
    refused = [text for text in outcomes if text.strip()]
    assert len(refused) > 150
    assert {*refused} == {str(untrusted.damaged("forensics.raw"))}


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "5", "[5]"])
def test_a_journal_of_another_shape_is_no_crash(tmp_path: Path, text: str) -> None:
    """A record that is not whole counts as nothing; other content is refused."""
    assert outcome(tmp_path, text).strip() in ("", str(untrusted.damaged("forensics.raw")))
