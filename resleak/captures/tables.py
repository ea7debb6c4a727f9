"""Tables of captures as Parquet files: bounded and checked before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from resleak.captures import archive, untrusted
from resleak.captures.files import atomic
from resleak.captures.parquet_outline import Outline, outline
from resleak.errors import StoreError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

#: Size of the largest table: bytes of the file, bytes and values decoded, columns.
FILE_BYTES, BYTES, VALUES, COLUMNS = 64 << 20, 160 << 20, 16_000_000, 500
#: Columns of text; every other column that a reader expects holds numbers or truth values.
_TEXTS = {
    *("phase", "moment", "function", "file", "thread", "allocator", "kind", "target"),
    *("created_phase", "closed_phase", "what", "name", "daemon", "state", "at", "waits_in"),
    *("made_at", "loop", "holder", "taken_at", "unit", "type", "path", "cycle", "made_of"),
}


def write_table(
    path: Path, columns: Mapping[str, np.ndarray | pa.Array], units: Mapping[str, str]
) -> None:
    """Write columns as a Parquet file, with the unit of each in its field's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {name: pa.array(values) for name, values in columns.items()}
    fields = [
        pa.field(name, array.type, metadata={b"unit": units.get(name, "").encode()})
        for name, array in arrays.items()
    ]
    table = pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields))
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: Path) -> pa.Table:
    """Return a Parquet file of a capture, or raise StoreError."""
    archive.provide(path)
    try:
        data = untrusted.content(path, FILE_BYTES)
    except StoreError as error:
        raise StoreError(f"{error}; capture the variant again") from None
    return decoded(data, str(path), "; capture the variant again")


def decoded(data: bytes, name: str, advice: str = "") -> pa.Table:
    """Return the table in the bytes of a Parquet file of anyone's, or raise StoreError."""
    with _damage(f"{name} is damaged ({{}}){advice}"):
        return _decoded(data)


def read_frame(path: Path) -> pd.DataFrame:
    """Return a table as a dataframe, with the unit of each column in ``.attrs["units"]``."""
    table = read_table(path)
    frame: pd.DataFrame = table.to_pandas()
    frame.attrs["units"] = {
        field.name: (field.metadata or {}).get(b"unit", b"").decode(errors="replace")
        for field in table.schema
    }
    return frame


def uncompressed(path: Path, clean: Callable[[str], str]) -> bytes:
    """Return a table as an uncompressed Parquet file, with `clean` applied to all texts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = read_table(path)
    columns, fields = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        if _is_text(field.type):
            coded = column.combine_chunks().dictionary_encode()
            texts = [None if t is None else clean(t) for t in coded.dictionary.to_pylist()]
            known = pa.array(texts, type=coded.dictionary.type)
            column = pa.DictionaryArray.from_arrays(coded.indices, known).dictionary_decode()
        unit = (field.metadata or {}).get(b"unit", b"").decode(errors="replace")
        columns.append(column)
        fields.append(pa.field(clean(field.name), field.type, metadata={"unit": clean(unit)}))
    table = pa.table(columns, schema=pa.schema(fields))  # no other metadata
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="none", use_dictionary=False, write_statistics=False)
    return bytes(buffer.getvalue())


def check_columns(frame: pd.DataFrame, name: str, expected: tuple[str, ...]) -> str:
    """Return what is wrong with a table that a reader expects, or an empty text."""
    import numpy as np
    import pandas as pd

    if lacking := [column for column in expected if column not in frame.columns]:
        return f"has no {', '.join(lacking)}"
    if duplicate := frame.columns[frame.columns.duplicated()].tolist():
        return f"has two columns {duplicate[0]}"
    for column in frame.columns if name == "trace" else expected:
        values = frame[column]
        is_text = column in _TEXTS or (name, column) == ("cycles", "holds")
        if len(values) and is_text == pd.api.types.is_numeric_dtype(values.dtype):
            return f"has {'numbers' if is_text else 'no numbers'} in {column}"
    if name == "trace" and frame[list(expected[:3])].isna().any(axis=None):
        return "has rows without a time or a step"
    if (
        name == "stacks" and expected
    ):  # a parent comes before its children, or a walk to the root may not end
        node, parent = frame["node"].to_numpy(), frame["parent"].to_numpy()
        if (node != np.arange(len(node))).any() or not ((parent >= -1) & (parent < node)).all():
            return "has nodes out of order"
    return ""


@contextmanager
def _damage(message: str) -> Iterator[None]:
    """Turn whatever a decoder makes of damaged bytes into one line."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        reason = str(error).split("\n")[0][:200] or type(error).__name__
        raise StoreError(message.format(reason)) from None


def _decoded(data: bytes) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    _check_size(outline(data))
    source = pa.BufferReader(data)
    schema = _opened(source).schema_arrow
    _check_types(schema)
    texts = [field.name for field in schema if _is_text(field.type)]
    # A few bytes can stand for a long text in every row: texts are decoded once, then counted.
    file = _opened(source, read_dictionary=texts)
    table = file.read(use_threads=False)
    size = 0
    for name in texts:
        for chunk in table.column(name).chunks:
            lengths = pc.binary_length(chunk.dictionary).take(chunk.indices)
            size += pc.sum(lengths).as_py() or 0
    if size > BYTES:
        raise ValueError("it is too large: its texts")
    for number, field in enumerate(table.schema):
        if field.name in texts:
            plain = pa.field(field.name, pa.string(), metadata=field.metadata)
            table = table.set_column(number, plain, table.column(number).cast(pa.string()))
    table.validate(full=True)
    return table


def _opened(source: pa.BufferReader, read_dictionary: list[str] | None = None) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    return pq.ParquetFile(
        source,
        read_dictionary=read_dictionary,
        thrift_string_size_limit=1 << 20,
        thrift_container_size_limit=100_000,
    )


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_size(about: Outline) -> None:
    """Raise ValueError for a table that would be too large once it is decoded."""
    if about.columns > COLUMNS or about.rows * about.columns > VALUES:
        raise ValueError(f"it is too large: {about.rows} rows of {about.columns} columns")
    if about.decoded_bytes > BYTES:
        raise ValueError(f"it is too large: more than {BYTES >> 20} MiB")


def _check_types(schema: pa.Schema) -> None:
    """Raise ValueError for a table with columns that no capture has."""
    import pyarrow as pa

    if len(set(schema.names)) < len(schema.names):
        raise ValueError("two of its columns have the same name")
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    for field in schema:
        if not _is_text(field.type) and not any(is_kind(field.type) for is_kind in kinds):
            raise ValueError(f"its column {field.name[:40]} is of the type {str(field.type)[:40]}")
