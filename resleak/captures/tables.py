"""Tables of captures as Parquet files: bounded and checked before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resleak.captures import archive, untrusted
from resleak.captures.files import atomic
from resleak.errors import StoreError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

#: Size of the largest table: bytes of the file, bytes and values decoded, columns.
FILE_BYTES, BYTES, VALUES, COLUMNS = 64 << 20, 160 << 20, 16_000_000, 500
_MAGIC = b"PAR1"
#: Deepest nesting of the structures in a footer.
_DEPTH = 16
#: Columns of text; every other column that a reader expects holds numbers or truth values.
_TEXTS = {
    *("phase", "moment", "function", "file", "thread", "allocator", "kind", "target"),
    *("created_phase", "closed_phase", "what", "name", "daemon", "state", "at", "waits_in"),
    *("made_at", "loop", "holder", "taken_at", "unit", "type", "path", "cycle", "made_of", "text"),
}
#: Columns of whole numbers by which arrays are indexed, and of sums; text and times are neither.
_INDICES = {"node", "parent", "line", "mark", "first_mark", "gone_mark", "block", "process"}
_WHOLE = {*_INDICES, "bytes", "count", "heap_bytes", "created_step"}


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
    """Return the table in the bytes of an untrusted Parquet file, or raise StoreError."""
    try:
        return _decoded(data)
    except Exception as error:  # whatever a decoder makes of damaged bytes
        reason = str(error).split("\n")[0][:200] or type(error).__name__
        raise StoreError(f"{name} is damaged ({reason}){advice}") from None


def read_frame(path: Path, expected: tuple[str, ...] = (), of: str = "") -> pd.DataFrame:
    """Return a table as a dataframe, with the unit of each column in ``.attrs["units"]``.

    StoreError if it has not the columns that are expected `of` a capture, or not their values.
    """
    table = read_table(path)
    frame: pd.DataFrame = table.to_pandas()
    wrong = check_columns(frame, path.stem, expected)
    if not wrong and "node" in expected and path.stem != "stacks" and len(frame):
        nodes = read_table(path.with_name("stacks.parquet")).num_rows
        wrong = "" if frame["node"].between(0, nodes - 1).all() else "has nodes without a stack"
    if wrong:
        where = f"{path.parent.name}/{path.name}{of and f' of {of}'}"
        raise StoreError(f"{where} {wrong}; capture the variant again")
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
    kinds = frame.dtypes  # columns themselves would copy all attributes, each time
    for column in frame.columns if name == "trace" else expected:
        # A workload's own gauge may be called "file" or "path".
        is_text = column in expected and (column in _TEXTS or (name, column) == ("cycles", "holds"))
        if len(frame) and is_text == pd.api.types.is_numeric_dtype(kinds[column]):
            return f"has {'numbers' if is_text else 'no numbers'} in {column}"
        if len(frame) and not is_text and (wrong := _wrong_numbers(frame[column], column)):
            return f"has {wrong} in {column}"
    if name == "trace" and frame[list(expected[:3])].isna().any(axis=None):
        return "has rows without a time or a step"
    if name == "stacks" and expected and frame[["function", "file"]].isna().any(axis=None):
        return "has rows without a function or a file"
    if name == "marks" and expected:
        marks = frame["mark"]
        is_ordered = marks.is_monotonic_increasing and frame["step"].is_monotonic_increasing
        if not (is_ordered and marks.is_unique):
            return "has marks out of order"
    # A parent comes before its children, or a walk to the root may not end.
    if name == "stacks" and expected:
        node, parent = frame["node"].to_numpy(), frame["parent"].to_numpy()
        if (node != np.arange(len(node))).any() or not ((parent >= -1) & (parent < node)).all():
            return "has nodes out of order"
    return ""


def _wrong_numbers(values: pd.Series, column: str) -> str:
    """Return what no code expects of the numbers in a column, or an empty text."""
    import numpy as np
    import pandas as pd

    if column in _WHOLE and not pd.api.types.is_integer_dtype(values):
        return "other than whole numbers"
    if column in _INDICES and not values.between(-1, 2**31 - 1).all():
        return "numbers out of range"
    is_infinite = pd.api.types.is_float_dtype(values) and np.isinf(values).any()
    return "infinite numbers" if is_infinite else ""


def _decoded(data: bytes) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows, columns, size = _outline(data)
    if columns > COLUMNS or rows * columns > VALUES:
        raise ValueError(f"it is too large: {rows} rows of {columns} columns")
    if size > BYTES:
        raise ValueError(f"it is too large: more than {BYTES >> 20} MiB")
    limits = {"thrift_string_size_limit": 1 << 20, "thrift_container_size_limit": 100_000}
    source = pa.BufferReader(data)
    schema = pq.ParquetFile(source, **limits).schema_arrow
    if len(set(schema.names)) < len(schema.names):
        raise ValueError("two of its columns have the same name")
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    for field in schema:
        if not _is_text(field.type) and not any(is_kind(field.type) for is_kind in kinds):
            raise ValueError(f"its column {field.name[:40]} is of the type {str(field.type)[:40]}")
    texts = [field.name for field in schema if _is_text(field.type)]
    # A few bytes can stand for a long text in every row: texts are decoded once, then counted.
    table = pq.ParquetFile(source, read_dictionary=texts, **limits).read(use_threads=False)
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


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _outline(content: bytes) -> tuple[int, int, int]:
    """Return rows, columns and decoded bytes of a file, read before any decoder trusts it.

    Pages are allocated as their headers claim, and pyarrow has no limit for that; and its access to
    the columns in a footer ends the process where a footer is damaged.
    """
    length = int.from_bytes(content[-8:-4], "little")
    start = len(content) - 8 - length
    if content[:4] != _MAGIC or content[-4:] != _MAGIC or start < len(_MAGIC):
        raise ValueError("it is not Parquet")
    try:
        footer = _Thrift(content, start, len(content) - 8).struct()
        rows = footer[3]
        chunks = [column[3] for group in footer[4] for column in group[1]]
        decoded = sum(_decoded_bytes(content, chunk, start) for chunk in chunks)
        if any(group[3] > rows for group in footer[4]) or any(c[5] > rows for c in chunks):
            raise ValueError("its parts have more rows than the whole")
        return rows, sum(1 for leaf in footer[2] if 1 in leaf), decoded
    except (KeyError, TypeError, IndexError, AttributeError):
        raise ValueError("its footer is not as usual") from None


def _decoded_bytes(content: bytes, chunk: dict[int, Any], end_of_pages: int) -> int:
    """Return the bytes that the pages of one column decode to."""
    if not chunk[5]:  # no values: no page is read
        return 0
    start = min(offset for offset in (chunk[9], chunk.get(11, 0)) if offset > 0)
    end = start + chunk[7]
    if not len(_MAGIC) <= start <= end <= end_of_pages:
        raise ValueError("its pages lie outside the file")
    pages, total = _Thrift(content, start, end), 0
    while pages.at < end:
        header = pages.struct()
        if min(header[2], header[3]) < 0:
            raise ValueError("a page of it has no size")
        total += header[2]
        pages.at += header[3]
    if pages.at != end:
        raise ValueError("a page of it is cut off")
    return total


class _Thrift:
    """Reads structures of Thrift's compact protocol as mappings from field to value."""

    def __init__(self, content: bytes, at: int, end: int) -> None:
        self.content, self.at, self.end = content, at, end

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Read a structure; its fields come in order, so that none comes twice."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            if not head >> 4 or depth > _DEPTH:
                raise ValueError("its footer or a page is not as usual")
            number += head >> 4
            kind = head & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (4, 5, 6):
            raw = self._varint()
            return (raw >> 1) ^ -(raw & 1)
        if kind == 8:
            return self._bytes(self._varint())
        if kind == 9:
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            return [self._value(head & 15, depth) for _ in range(count)]
        if kind == 12:
            return self.struct(depth + 1)
        if kind in (1, 2, 3, 7):
            return self._bytes(8 if kind == 7 else 1)
        raise ValueError("its footer or a page is not as usual")

    def _bytes(self, length: int) -> bytes:
        if length > self.end - self.at:
            raise ValueError("its footer or a page is cut off")
        self.at += length
        return self.content[self.at - length : self.at]

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) > 127 and shift < 63:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def _byte(self) -> int:
        if self.at >= self.end:
            raise ValueError("its footer or a page is cut off")
        self.at += 1
        return self.content[self.at - 1]
