"""Where captures live: the folder's layout, written whole or not at all."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resleak.captures import untrusted
from resleak.captures.locks import locked
from resleak.captures.manifest import Manifest
from resleak.errors import CaptureError, StoreError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

MANIFEST = "manifest.json"
_INCOMPLETE, _REPLACED = ".incomplete", ".replaced"
#: Hidden folders of unfinished work, and visible ones of failed runs.
_UNFINISHED = re.compile(
    r"\.(?P<name>.+)(?P<kind>\.incomplete|\.replaced)-\d+-[0-9a-f]{8}", re.DOTALL
)
_KEPT = re.compile(r"\.incomplete-\d+-[0-9a-f]{8}$")
#: Seconds for which a run waits for another one that writes to the same place.
_WAIT_S = 3.0


@contextmanager
def writing(folder: Path, is_ours: Callable[[Path, Path], bool] | None = None) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` when the block ends well.

    What was there is moved aside, and deleted once the new one is in its place. After an error,
    a folder ``NAME.incomplete-PID-RANDOM`` is left if a manifest was written by then. After a
    kill, a hidden folder of that name is left, which no reader loads and the next run removes.

    Parameters
    ----------
    folder : Path
        Where the capture will be.
    is_ours : callable, optional
        Given a folder and the place it belongs to, returns True if it may be replaced; by
        default, if it is a capture of the scenario and variant that the place is for.

    Raises
    ------
    CaptureError
        If something else is there, the disk is full, or the folder cannot be written.
    """
    is_ours = is_ours or is_capture
    unique = f"{_INCOMPLETE}-{os.getpid()}-{secrets.token_hex(4)}"
    partial = folder.with_name(f".{folder.name}{unique}")
    try:
        refuse_foreign(folder, is_ours)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder, is_ours)
        partial.mkdir(mode=0o700)  # until it is whole, it may hold anything that was printed
        with locked(partial):
            yield partial
            refuse_foreign(folder, is_ours)
            _put(partial, folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise CaptureError(_disk_message(folder, error)) from error
    except BaseException:
        if (partial / MANIFEST).exists():
            os.rename(partial, folder.with_name(f"{folder.name}{unique}"))
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other runs from writing below a folder, or raise CaptureError if one does."""
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            is_free = stack.enter_context(locked(folder, _WAIT_S))
        except OSError as error:
            raise CaptureError(_disk_message(folder, error)) from error
        if not is_free:
            message = f"another run writes to {folder}; wait for it, or choose another --out"
            raise CaptureError(message)
        yield


def is_capture(folder: Path, place: Path) -> bool:
    """Return True if a folder holds a capture of the scenario, variant and run of a place."""
    try:
        manifest = read_manifest(folder)
    except StoreError:
        return False
    parts = (*manifest.scenario.name.split("/"), manifest.variant, manifest.folder)
    return place.absolute().parts[-len(parts) :] == parts and bool(manifest.session)


def refuse_foreign(folder: Path, is_ours: Callable[[Path, Path], bool] = is_capture) -> None:
    """Raise CaptureError if there is anything in a folder's place but what we wrote there."""
    if not os.path.lexists(folder):
        return
    empty = not folder.is_symlink() and folder.is_dir() and not any(folder.iterdir())
    if folder.is_symlink() or not folder.is_dir() or not (empty or is_ours(folder, folder)):
        message = f"{folder} is not an earlier capture of the same variant, so it is left alone"
        raise CaptureError(f"{message}; choose another --out or --name")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a new name beside a file, and let it take the file's place when the block ends well."""
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the whole of it or the file as it was before."""
    text = json.dumps(to_json(value), indent=1, ensure_ascii=False) + "\n"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")


def to_json(value: Any) -> Any:
    """Return a value as JSON can hold it: numbers of numpy as Python's, NaN as None."""
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


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
    columns, fields = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            column = _each(column, clean)
        unit = (field.metadata or {}).get(b"unit", b"").decode()
        columns.append(column)
        fields.append(pa.field(clean(field.name), field.type, metadata={"unit": clean(unit)}))
    table = pa.table(columns, schema=pa.schema(fields))  # no other metadata
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
    """Return the capture folders at or below a folder, sorted; never hidden ones."""
    return sorted(
        path.parent
        for path in root.rglob(MANIFEST)
        if not any(map(_UNFINISHED.fullmatch, path.relative_to(root).parts))
        and not _UNFINISHED.fullmatch(root.name)
    )


def retire(variant: Path, session: str) -> None:
    """Remove the captures of one variant that other sessions left: runs of two never mix."""
    for folder in [*variant.iterdir()] if variant.is_dir() and not variant.is_symlink() else []:
        place = folder.with_name(_KEPT.sub("", folder.name))
        if folder.is_symlink() or not is_capture(folder, place):
            continue
        if read_manifest(folder).session != session:
            shutil.rmtree(folder, ignore_errors=True)


def _put(partial: Path, folder: Path) -> None:
    """Put a whole folder in its place; what was there is deleted last."""
    aside = folder.with_name(partial.name.replace(_INCOMPLETE, _REPLACED))
    partial.chmod(folder.parent.stat().st_mode & 0o777)
    if folder.exists():
        os.rename(folder, aside)
    try:
        os.rename(partial, folder)
    except BaseException:
        if aside.exists():
            os.rename(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _remove_leftovers(folder: Path, is_ours: Callable[[Path, Path], bool]) -> None:
    """Remove what dead runs left of a folder; put back what they had moved aside."""
    for path in folder.parent.iterdir():
        match = _UNFINISHED.fullmatch(path.name)
        if not match or match["name"] != folder.name or path.is_symlink() or not path.is_dir():
            continue
        with locked(path) as is_dead:
            if not is_dead:
                continue
            if match["kind"] == _REPLACED and not folder.exists() and is_ours(path, folder):
                os.rename(path, folder)
            elif match["kind"] == _INCOMPLETE or is_ours(path, folder):
                shutil.rmtree(path, ignore_errors=True)


def _disk_message(folder: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk is full at {folder}; earlier captures are untouched; free space and rerun"
    return f"cannot write {folder}: {error.strerror or error}; choose another --out"
