"""Where captures live: the folder's layout, written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resleak.captures import untrusted
from resleak.captures.manifest import Manifest
from resleak.errors import CaptureError, StoreError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

MANIFEST = "manifest.json"
_PARTIAL = ".partial"
_INCOMPLETE = ".incomplete"


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` when the block ends well.

    After an error nothing has changed but for a folder whose name ends in ``.incomplete``, if a
    manifest was written by then. After a kill, a hidden ``.partial`` folder is left, which no
    reader loads and the next capture removes.

    Parameters
    ----------
    folder : Path
        Where the capture will be.

    Raises
    ------
    CaptureError
        If the disk is full or the folder cannot be written.
    """
    partial = folder.with_name(f".{folder.name}{_PARTIAL}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        _replace(partial, folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise CaptureError(_disk_message(folder, error)) from error
    except BaseException:
        _keep_incomplete(partial, folder)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the whole of it or the file as it was before."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def write_table(
    path: Path, columns: Mapping[str, np.ndarray | pa.Array], units: Mapping[str, str]
) -> None:
    """Write a Parquet file with the unit of each column in its field's metadata.

    Parameters
    ----------
    path : Path
        The file, written under another name first.
    columns : mapping of str to array, shape (rows,)
        The columns in order.
    units : mapping of str to str
        Unit by column; a column without one gets an empty unit.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {name: pa.array(values) for name, values in columns.items()}
    fields = [
        pa.field(name, array.type, metadata={b"unit": units.get(name, "").encode()})
        for name, array in arrays.items()
    ]
    table = pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields))
    temporary = path.with_name(f".{path.name}.tmp")
    pq.write_table(table, temporary, compression="zstd")
    os.replace(temporary, path)


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file of a capture.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, memory_map=False)
    except FileNotFoundError:
        raise StoreError(f"{path} is missing; capture the variant again") from None
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path} is damaged ({error}); capture the variant again") from error


def read_frame(path: Path) -> pd.DataFrame:
    """Read a table as a dataframe, with the unit of each column in ``.attrs["units"]``.

    Raises
    ------
    StoreError
        As `read_table`.
    """
    table = read_table(path)
    frame: pd.DataFrame = table.to_pandas()
    frame.attrs["units"] = {
        field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in table.schema
    }
    return frame


def uncompressed(path: Path, clean: Callable[[str], str]) -> bytes:
    """Return a table as an uncompressed Parquet file, with every text in it passed through `clean`.

    Raises
    ------
    StoreError
        As `read_table`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = read_table(path)
    for number, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            table = table.set_column(number, field, _each(table.column(number), clean))
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="none", use_dictionary=False, write_statistics=False)
    return bytes(buffer.getvalue())


def _each(column: pa.ChunkedArray, change: Callable[[str], str]) -> pa.Array:
    """Return a column of text with each different text changed once."""
    import pyarrow as pa

    coded = column.combine_chunks().dictionary_encode()
    texts = [None if text is None else change(text) for text in coded.dictionary.to_pylist()]
    known = pa.array(texts, type=coded.dictionary.type)
    return pa.DictionaryArray.from_arrays(coded.indices, known).dictionary_decode()


def outline(content: bytes) -> tuple[int, int, set[str]]:
    """Return rows, columns and encodings of a Parquet file, without reading its values.

    Raises
    ------
    ValueError
        If it is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    told = pq.ParquetFile(pa.BufferReader(content)).metadata
    chunks = [told.row_group(g).column(c) for g in range(told.num_row_groups)
              for c in range(told.num_columns)]  # fmt: skip
    encodings = {encoding for chunk in chunks for encoding in chunk.encodings}
    return told.num_rows, told.num_columns, encodings


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a capture's folder, or raise StoreError."""
    path = folder / MANIFEST
    try:
        return Manifest.parse(untrusted.parsed(untrusted.content(path, untrusted.JSON_BYTES)))
    except ValueError as error:
        raise StoreError(f"{path} {_reason(error)}; capture the variant again") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest into the folder of its capture."""
    write_json(folder / MANIFEST, manifest.to_json())


def _reason(error: ValueError) -> str:
    message = str(error)
    if message.startswith("says nothing of"):
        return f"{message}: it is older than this version"
    return message if message.startswith("has schema") else f"is damaged ({message})"


def folders(root: Path) -> list[Path]:
    """Return the capture folders at or below a folder, sorted; never partial ones."""
    found = (path.parent for path in root.rglob(MANIFEST))
    return sorted(f for f in found if not any(part.endswith(_PARTIAL) for part in f.parts))


def retire(variant: Path, session: str) -> None:
    """Remove the captures of one variant that other sessions left: runs of two never mix."""
    for folder in folders(variant):
        with suppress(StoreError):
            if read_manifest(folder).session == session:
                continue
        shutil.rmtree(folder, ignore_errors=True)
    for partial in variant.glob(f".*{_PARTIAL}"):
        shutil.rmtree(partial, ignore_errors=True)


def _replace(partial: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def _keep_incomplete(partial: Path, folder: Path) -> None:
    if (partial / MANIFEST).exists():
        _replace(partial, folder.with_name(folder.name + _INCOMPLETE))
    shutil.rmtree(partial, ignore_errors=True)


def _disk_message(folder: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk is full at {folder}; earlier captures are untouched; free space and rerun"
    return f"cannot write {folder}: {error.strerror or error}; choose another --out"
