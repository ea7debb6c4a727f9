"""memray's file reader, and the header of its files."""

from __future__ import annotations

import resource
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resleak.captures import untrusted
from resleak.errors import CaptureError, MissingPackageError, StoreError

_AGAIN = "capture it again"
#: memray's header up to the times: magic, versions, native, aggregated, records, frames, times.
_HEADER = struct.Struct("<7sii??QQqq")
#: Bytes of the rest of a header whose texts are empty.
_REST = struct.calcsize("=xiQQ???xxx")
#: What follows the command line in it; all of this is at the beginning of a file.
_WHO, _ENOUGH = struct.Struct("=iQ"), 1 << 16
_MAGIC, _FORMAT = b"memray\0", 13
_LZ4_MAGIC = b"\x04\x22\x4d\x18"
#: The last releases that write, and alone read, a format; before 1.8 none follows blocks in time.
_RELEASES = {10: "1.10", 11: "1.18", 12: "1.19", _FORMAT: "1.20"}
#: A damaged length must fail, not take all memory of the machine: what libraries and symbols take,
#: and what is held for each byte of a file, which may be packed.
_BASE_BYTES, _BYTES_PER_BYTE, _MEMORY_BYTES = 2 * 1024**3, 128, 8 * 1024**3
#: Seconds of processor time for a foreign file of any size, and bytes that allow for one more.
_BASE_S, _BYTES_PER_S = 10, 50_000


@dataclass(frozen=True)
class Header:
    """Header of a memray file."""

    native: bool
    aggregated: bool  # sums only
    records: int  # 0 if it was never closed: then the times are equal
    start_ms: int  # of the epoch
    end_ms: int
    pid: int
    main: int
    command: str
    is_older: bool = False  # the memray that wrote it has to read it


def header(capture: Path) -> Header:
    """Return the header of a file, or raise StoreError before memray sees one that is damaged."""
    start = _start_of(capture)
    if not start:
        raise StoreError(f"{capture.name} is empty: the run was killed early; {_AGAIN}")
    if not start.startswith(_MAGIC):
        reason = "is not a file that memray wrote; name one from `memray run`"
        raise StoreError(f"{capture.name} {reason}")
    command_end = start.find(b"\0", _HEADER.size) + 1
    if len(start) < max(command_end, _HEADER.size) + _WHO.size:
        raise StoreError(f"{capture.name} is cut off in its header; {_AGAIN}")
    _, found, _, native, aggregated, records, _, begun, ended = _HEADER.unpack_from(start)
    if found != _FORMAT:
        return _of_an_older_memray(capture, found)
    pid, main = _WHO.unpack_from(start, command_end)
    command = start[_HEADER.size : command_end - 1].decode(errors="replace")
    return Header(native, aggregated, records, begun, ended, pid, main, command)


def _of_an_older_memray(capture: Path, found: int) -> Header:
    """Return what the memray that wrote a file says of it, if that memray is the one in use."""
    release = _RELEASES.get(found, "")
    if not release or not _version().startswith(f"{release}."):
        which = f"open it with --with 'memray=={release}.*', or " if release else ""
        reason = f"is of another version of memray (format {found}, not {_FORMAT})"
        raise StoreError(f"{capture.name} {reason}; {which}{_AGAIN}")
    with reading(capture) as reader:
        known = reader.metadata
    return Header(
        native=known.has_native_traces,
        # memray 1.10 does not say these two.
        aggregated=getattr(getattr(known, "file_format", None), "value", 0) == 1,
        main=getattr(known, "main_thread_id", 0),
        records=known.total_allocations,
        start_ms=round(known.start_time.timestamp() * 1000),
        end_ms=round(known.end_time.timestamp() * 1000),
        pid=known.pid,
        command=known.command_line,
        is_older=True,
    )


def _version() -> str:
    """Return the version of memray that is loaded; empty if none is."""
    return str(getattr(sys.modules.get("memray"), "__version__", ""))


def blank(snapshots: int) -> bytes:
    """Return a capture of nothing but snapshots."""
    start = _HEADER.pack(_MAGIC, _FORMAT, 0, False, False, 0, 0, 0, 0)
    return start + bytes(_REST) + b"\x02\0\0" * snapshots + b"\x01"


@contextmanager
def reading(capture: Path, descriptor: int | None = None, **options: Any) -> Iterator[Any]:
    """Yield memray's ``FileReader`` of a file or a descriptor; any error becomes a StoreError."""
    try:
        import memray
    except ImportError:
        raise MissingPackageError("reading stacks needs memray: pip install memray") from None
    if _version().startswith(("1.8.", "1.9.", "1.10.")):
        options.clear()  # they take none
    place: Any = capture if descriptor is None else descriptor  # it may be a number, on Linux
    try:
        with memray.FileReader(place, **options) as reader:
            yield reader
    except StoreError:
        raise
    except Exception as error:  # what is read is damaged, and anything can come of it
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "incompatible" in reason:
            from importlib.metadata import version  # it loads a mail reader: only when needed

            reason = f"it is of another version of memray than {version('memray')}"
        raise StoreError(f"{capture.name} cannot be read: {reason}; {_AGAIN}") from error


def refuse_foreign(file: Path) -> None:
    """Raise CaptureError if there is a file that memray did not write, before it overwrites it."""
    if not file.exists() and not file.is_symlink():
        return
    if file.is_file() and not file.is_symlink():
        with file.open("rb") as old:
            if old.read(len(_MAGIC)).startswith((_MAGIC, _LZ4_MAGIC)):
                return
    raise CaptureError(f"{file} is not a file of memray, so it is left alone; choose another --out")


def limit(files: Iterable[Path], *, is_ours: bool) -> None:
    """Limit memory, and for foreign files processor time, to what files of this size may need."""
    size = sum(file.stat().st_size for file in files if file.is_file())
    most_by_kind = {resource.RLIMIT_AS: min(_BASE_BYTES + _BYTES_PER_BYTE * size, _MEMORY_BYTES)}
    # Blocks that are freed at once pack to nothing: of our own recordings, the size says little
    # about the number of records, and the caller's time limit is enough.
    if not is_ours:
        most_by_kind[resource.RLIMIT_CPU] = _BASE_S + size // _BYTES_PER_S
    for kind, most in most_by_kind.items():
        _, hard = resource.getrlimit(kind)
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(OSError, ValueError):  # macOS refuses
            resource.setrlimit(kind, (soft, hard))


def without_pandas() -> None:
    """Keep pyarrow from loading pandas, which it would do to look for types."""

    class Without:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "pandas":
                raise ImportError("pandas is not needed here")

    sys.meta_path.insert(0, Without())


def _start_of(capture: Path) -> bytes:
    try:
        with untrusted.opened(capture) as file:
            start = file.read(_ENOUGH)
        return _unpacked(capture) if start.startswith(_LZ4_MAGIC) else start
    except FileNotFoundError:
        raise StoreError(f"{capture.name} is missing: there is no such file") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"{capture.name} cannot be read: {reason}; {_AGAIN}") from error
    except (struct.error, IndexError):
        reason = "it is packed, and damaged"
        raise StoreError(f"{capture.name} cannot be read: {reason}; {_AGAIN}") from None


def _unpacked(capture: Path) -> bytes:
    """Return the first bytes of a file that is packed, for which pyarrow were too much to load."""
    with capture.open("rb") as file:
        flags = file.read(6)[4]
        file.seek(7 + 8 * bool(flags & 8) + 4 * bool(flags & 1))
        (size,) = struct.unpack("<I", file.read(4))
        block = file.read(min(size & 0x7FFFFFFF, _ENOUGH))
    return block if size >> 31 else _expanded(block)


def _expanded(block: bytes) -> bytes:
    """Return the beginning of a block of LZ4: literals, and copies of what came before them."""
    text, at = bytearray(), 0
    while True:
        token = block[at]
        count, at = _length(block, at + 1, token >> 4)
        text += block[at : at + count]
        if len(text) > _ENOUGH or text.find(0, _HEADER.size) in range(len(text) - _WHO.size):
            return bytes(text)
        (back,) = struct.unpack_from("<H", block, at + count)
        count, at = _length(block, at + count + 2, token & 15)
        for _ in range(count + 4):
            text.append(text[-back])


def _length(block: bytes, at: int, count: int) -> tuple[int, int]:
    if count == 15:
        while block[at] == 255:
            count, at = count + 255, at + 1
        count, at = count + block[at], at + 1
    return count, at
