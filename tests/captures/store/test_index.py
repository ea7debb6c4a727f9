"""The index: one row per run, compacted or not, and SQL that reads nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import sweeps

from resleak.captures import tables
from resleak.captures.store import index
from resleak.captures.store.store import Store
from resleak.errors import StoreError


@pytest.fixture
def store(tmp_path):
    made = Store.made(str(tmp_path / "store"))
    fill(made, tmp_path, 1, 4)
    return made


def fill(store: Store, folder, first: int, last: int) -> None:
    for run in range(first, last):
        path = folder / "trace.parquet"
        columns = {"t_s": np.arange(3.0), "step": np.arange(3), f"own{run}": np.full(3, run)}
        tables.write_table(path, columns, {})
        sweeps.put(store, sweeps.spec(run=run), path)


def answer(store: Store, sql: str) -> list[dict]:
    return index.query(store, sql).to_pylist()


RUNS = "SELECT run, scenario, json_extract(params, '$.size') AS size FROM runs ORDER BY run"
TRACES = "SELECT run, max(step) AS last FROM traces JOIN runs USING (key) GROUP BY run ORDER BY run"


def test_compaction_changes_no_answer(store, tmp_path):
    """Queries answer the same before and after compaction, and with new runs beside it."""
    before = [answer(store, RUNS), answer(store, TRACES)]
    assert [row["run"] for row in before[0]] == [1, 2, 3]
    assert before[1][0] == {"run": 1, "last": 2}
    assert index.compact(store) == 3
    assert [answer(store, RUNS), answer(store, TRACES)] == before
    fill(store, tmp_path, 4, 6)
    assert [row["run"] for row in answer(store, TRACES)] == [1, 2, 3, 4, 5]
    assert index.compact(store) == 2
    assert index.compact(store) == 0
    assert [row["run"] for row in answer(store, TRACES)] == [1, 2, 3, 4, 5]


def test_compacting_again_writes_the_same_files(store):
    """Compacted parts are disposable: made again from the same runs, they have the same names."""
    index.compact(store)
    names = store.objects.names("compacted")
    store.objects.remove(names)
    assert len(answer(store, RUNS)) == 3
    index.compact(store)
    assert store.objects.names("compacted") == names


def test_a_query_reads_few_files_of_a_compacted_store(store, monkeypatch):
    """A compacted store answers from its parts, without the records of its runs."""
    index.compact(store)
    store.objects.remove(store.objects.names("tables"))
    assert answer(store, "SELECT count(*) AS n FROM traces") == [{"n": 9}]


@pytest.mark.parametrize("damage", [b"{}", b"nothing", b'{"parts": {"../x": ["ab"]}}'])
def test_damaged_parts_are_passed_over(store, damage):
    """A store whose compacted parts cannot be read answers from its runs."""
    index.compact(store)
    store.objects.write("compacted/current.json", damage)
    assert len(answer(store, RUNS)) == 3


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY runs TO '{folder}/x.csv'",
        "SET enable_external_access = true",
        "SELECT * FROM '/etc/passwd'",
        "INSTALL httpfs",
        "SELECT nothing FROM runs",
        "not SQL",
    ],
)
def test_a_query_reads_and_writes_no_files(store, tmp_path, sql):
    """SQL sees the two tables and nothing else; a mistake is one line."""
    with pytest.raises(StoreError, match=r"^the query failed: [^\n]*$"):
        index.query(store, sql.format(folder=tmp_path))
    assert not (tmp_path / "x.csv").exists()


def test_columns_of_the_same_name_are_all_answered(store):
    """A second column of a name gets another one, in the query and in joins of both tables."""
    assert answer(store, "SELECT 1 AS a, 2 AS a") == [{"a": 1, "a_1": 2}]
    joined = answer(store, "SELECT * FROM runs JOIN traces USING (key) ORDER BY run, t_s")
    assert [row["run"] for row in joined] == 3 * [1] + 3 * [2] + 3 * [3]
    assert {row["scenario"] for row in joined} == {row["scenario_1"] for row in joined}


def test_a_row_has_what_is_asked_for(store):
    """The index has the question, the end and the host of a run, and its whole manifest."""
    (row,) = answer(store, "SELECT * FROM runs WHERE run = 1")
    assert row["key"] == sweeps.spec().key
    assert (row["status"], row["host"], row["seconds"]) == ("exited", "host", 1.0)
    assert json.loads(row["manifest"])["variant"] == "leaky"
