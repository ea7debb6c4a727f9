"""Captures in one file: alone, or inside a report; checked when they are unpacked."""

from __future__ import annotations

import atexit
import base64
import io
import lzma
import re
import tarfile
from contextlib import ExitStack
from functools import cache
from html import escape
from pathlib import Path
from threading import Lock

from resleak.captures import untrusted
from resleak.captures.locks import temporary_folder
from resleak.errors import StoreError

#: The file of a scenario's captures, in the folder that would have theirs.
NAME = "captures.tar.xz"
TYPE = "application/x-xz"
_BLOCK = re.compile(rf'<script type="{re.escape(TYPE)}">([A-Za-z0-9+/=]*)</script>'.encode())
_MAGIC = b"\xfd7zXZ\0"
#: Of a file that somebody sent: bytes of the file, of the archive in it, and of what comes out
#: of that; its streams and files. Tables are checked when they are read, as those of a folder.
_MOST_FILE, _MOST_PACKED, _MOST_BYTES = 64 << 20, 4 << 20, 64 << 20
_MOST_STREAMS, _MOST_FILES = 256, 5_000
_MEMORY = 64 << 20
_MANIFEST = "/manifest.json"
_NAME = re.compile(r"(?:[\w][\w.+-]*/){2,8}(?:manifest\.json|[a-z_]+\.parquet)", re.ASCII)


def script(text: str) -> str:
    """Return packed captures as an element that shows nothing and runs nothing."""
    return f'<script type="{TYPE}">{escape(text)}</script>' if text else ""


def unpack(path: Path) -> Path:
    """Write captures into a folder for the life of this process, tables maybe by `provide`."""
    packed = untrusted.content(path, _MOST_FILE)
    if not packed.startswith(_MAGIC):
        blocks = _BLOCK.findall(packed)
        if len(blocks) != 1:
            raise StoreError(
                f"{path} is not a report with captures in it: `resleak share` writes one"
            )
        packed = blocks[0]
    return _unpacked(packed, str(path))


def provide(path: Path) -> None:
    """Unpack the archive that a path lies in until the path exists; StoreError if it is damaged."""
    for folder in path.parents:
        if unpacking := _unpacking.get(folder):
            unpacking.until(path)


@cache
def _unpacked(packed: bytes, name: str) -> Path:
    """Return the folder of an archive's captures; it is removed when this process ends."""
    with ExitStack() as stack:
        unpacking = _Unpacking(stack.enter_context(temporary_folder()), name, packed)
        unpacking.until(None)
        atexit.register(stack.pop_all().close)
    _unpacking[unpacking.folder] = unpacking
    return unpacking.folder


class _Unpacking:
    """Unpacks the streams of an archive: manifests at once, tables as they are needed."""

    def __init__(self, folder: Path, name: str, packed: bytes) -> None:
        self.folder, self._name, self._left = folder, name, packed
        self._bytes, self._streams, self._is_lazy = 0, 0, False
        self._known, self._lock = set[str](), Lock()

    def until(self, path: Path | None) -> None:
        """Unpack until a path exists; without one, all manifests."""
        try:
            with self._lock:
                while self._left and not (path.exists() if path else self._is_lazy):
                    self._next()
        except OSError as error:
            message = f"cannot unpack {self._name}: {error.strerror or error}; free space in TMPDIR"
            raise StoreError(message) from None
        except (ValueError, lzma.LZMAError, EOFError, tarfile.TarError) as error:
            message = f"the captures in {self._name} are damaged: {error}; ask for the file again"
            raise StoreError(message) from None

    def _next(self) -> None:
        """Write the files of the next stream; never more than is allowed."""
        if not self._streams:
            if not self._left.startswith(_MAGIC):
                self._left = base64.b64decode(self._left, validate=True)
            if len(self._left) > _MOST_PACKED:
                raise ValueError(f"more than {_MOST_PACKED >> 20} MiB")
        self._streams += 1
        if self._streams > _MOST_STREAMS:
            raise ValueError(f"more than {_MOST_STREAMS} parts")
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
        tar = stream.decompress(self._left, max_length=_MOST_BYTES - self._bytes + 1)
        self._bytes += len(tar)
        if self._bytes > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES >> 20} MiB")
        if not stream.eof:
            raise ValueError("cut off")
        files = self._files(tar)
        for name, content in files.items():
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        self._known |= files.keys()
        self._left = stream.unused_data
        if self._streams == 1:
            self._is_lazy = all(name.endswith(_MANIFEST) for name in files)

    def _files(self, archive: bytes) -> dict[str, bytes]:
        """Return the checked files of a stream by name."""
        files: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            for member in tar:
                name = member.name
                is_file = member.isreg() and not member.issparse() and member.size <= len(archive)
                is_new = name not in self._known and name not in files
                has_room = len(self._known) + len(files) < _MOST_FILES
                is_late = self._is_lazy and name.endswith(_MANIFEST)
                file = tar.extractfile(member) if is_file and is_new and has_room else None
                if file is None or is_late or not _NAME.fullmatch(name):
                    raise ValueError(f"{name[:60]!r} has no place in a capture")
                files[name] = file.read()
        return files


_unpacking: dict[Path, _Unpacking] = {}
