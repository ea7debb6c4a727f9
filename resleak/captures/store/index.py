"""The index of a store, its compacted parts, and SQL on both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resleak.captures import tables, untrusted
from resleak.captures.locks import temporary_folder
from resleak.captures.store.record import KEY, Record
from resleak.captures.store.store import Store
from resleak.errors import StoreError, missing

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_CURRENT = "compacted/current.json"
#: Runs and bytes of the traces of one part: a part is made, and read, in memory.
_PART_RUNS, _PART_BYTES = 1000, 32 << 20
_TABLES = ("runs", "traces")


def compact(store: Store) -> int:
    """Join new runs into parts, one file for their rows and one for traces; return how many."""
    parts = _parts(store)
    # The last part is made again with what is new, unless it is full.
    last = next(reversed(parts), "")
    full = {name: keys for name, keys in parts.items() if name != last or len(keys) >= _PART_RUNS}
    done = set().union(*parts.values())
    keys = store.keys()
    if keys <= done:
        return 0
    for records in _grouped(store.records(sorted(keys - set().union(*full.values())))):
        keys_of_part = sorted(record.key for record in records)
        name = hashlib.sha256("".join(keys_of_part).encode()).hexdigest()[:16]
        if name not in parts:
            for table, data in _compacted(store, records).items():
                store.objects.write(_part(name, table), data)
        full[name] = keys_of_part
    store.objects.write(_CURRENT, json.dumps({"parts": full}).encode())
    old = [_part(name, table) for name in parts if name not in full for table in _TABLES]
    store.objects.remove(old)
    return len(keys - done)


def query(store: Store, sql: str) -> pa.Table:
    """Return the answer to a query on the tables ``runs`` and ``traces``; it can read no files."""
    with _connected({"enable_external_access": "false"}) as connection:
        for name in (name for name in _TABLES if name in sql.lower()):
            connection.register(name, read(store, name))
        try:
            relation = connection.sql(sql)
            if relation is not None and len({*relation.columns}) < len(relation.columns):
                relation = relation.project("*")  # a second column called "a" becomes "a_1"
            answer = None if relation is None else relation.to_arrow_table()
        except Exception as error:
            message = " ".join(str(error).split())[:300]
            message += "; the tables are runs and traces"
            raise StoreError(f"the query failed: {message}") from None
    if answer is None:
        raise StoreError("this statement has no answer; write SELECT … FROM runs or traces")
    return answer


def read(store: Store, name: str) -> pa.Table:
    """Return ``runs``, one row each, or ``traces``: compacted parts, then what is new."""
    keys, read, parts = store.keys(), [], _parts(store)
    for part, of_part in parts.items():
        data = store.objects.read(_part(part, name), tables.FILE_BYTES)
        if data is not None and keys.issuperset(of_part):
            read.append(tables.decoded(data, f"part {part} of the store"))
            keys -= set(of_part)
    for records in _grouped(store.records(sorted(keys))):
        read.append(_rows(records) if name == "runs" else _traces(store, records))
    return _joined(read)


def _parts(store: Store) -> dict[str, list[str]]:
    """Return the keys of each part; none if they cannot be read: all parts can be made again."""
    try:
        data = store.objects.read(_CURRENT, 256 << 20)
        value = untrusted.parsed(data) if data else {"parts": {}}
        parts: dict[str, list[str]] = untrusted.build(dict[str, list[str]], value["parts"])
    except (ValueError, KeyError, TypeError):
        return {}
    is_valid = all(KEY.fullmatch(key) for keys in parts.values() for key in keys)
    return parts if is_valid and all(name.isalnum() for name in parts) else {}


def _part(name: str, table: str) -> str:
    return f"compacted/{name}/{table}.parquet"


def _grouped(records: Iterator[Record]) -> Iterator[list[Record]]:
    """Yield records in groups for one part each."""
    group: list[Record] = []
    size = 0
    for record in records:
        group.append(record)
        size += record.size
        if len(group) == _PART_RUNS or size > _PART_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _compacted(store: Store, records: Sequence[Record]) -> dict[str, bytes]:
    """Return the Parquet files of one part, sorted so that few row groups answer a query."""
    orders = {"runs": "scenario, variant, key", "traces": "scenario, variant, key, t_s"}
    frames = {"runs": _rows(records), "traces": _traces(store, records)}
    with temporary_folder() as folder, _connected({}) as connection:
        for name, frame in frames.items():
            connection.register(name, frame)
            order = orders[name] if len(frame) else "key"
            target = str(folder / f"{name}.parquet").replace("'", "''")
            connection.execute(
                f"COPY (SELECT * FROM {name} ORDER BY {order}) TO '{target}' "
                "(FORMAT parquet, COMPRESSION zstd)"
            )
        return {name: Path(folder, f"{name}.parquet").read_bytes() for name in frames}


def _rows(records: Sequence[Record]) -> pa.Table:
    import pyarrow as pa

    names = ("scenario", "variant", "instrument", "run", "seed", "steps", "python", "canary")
    rows = [
        {
            "key": record.key,
            **{name: getattr(record.spec, name) for name in names},
            "params": json.dumps(record.spec.params, sort_keys=True),
            "packages": json.dumps(record.spec.packages, sort_keys=True),
            "status": record.manifest.exit.status,
            "phase": record.manifest.exit.phase,
            "code": record.manifest.exit.code,
            "error": record.manifest.exit.error,
            "started": record.manifest.started,
            "host": record.host,
            "host_class": record.manifest.host_class,
            "seconds": record.seconds,
            "bytes": record.size,
            "manifest": json.dumps(record.manifest.to_json(), ensure_ascii=False),
        }
        for record in records
    ]
    return pa.Table.from_pylist(rows)


def _traces(store: Store, records: Sequence[Record]) -> pa.Table:
    import pyarrow as pa

    read = []
    for record in records:
        if "trace.parquet" in record.files:
            table = tables.decoded(store.table(record, "trace.parquet"), f"run {record.key}")
            names = {"scenario": record.spec.scenario, "variant": record.spec.variant}
            columns = {
                name: pa.array([text] * len(table), pa.string())
                for name, text in {"key": record.key, **names}.items()
            }
            rest = {name: table.column(name) for name in table.column_names if name not in columns}
            read.append(pa.table(columns | rest))
    return _joined(read)


def _joined(parts: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    plain = [part.replace_schema_metadata(None) for part in parts if part.num_columns]
    if not plain:
        return pa.table({"key": pa.array([], pa.string())})
    return pa.concat_tables(plain, promote_options="permissive")


def _connected(config: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    try:
        import duckdb
    except ImportError:
        raise missing("a query needs DuckDB", "cluster") from None
    return duckdb.connect(config=config)
