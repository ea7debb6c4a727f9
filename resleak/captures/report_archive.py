"""Captures inside a report: packed when it is written, checked when they are unpacked."""

from __future__ import annotations

import atexit
import base64
import io
import json
import lzma
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any

from resleak.captures import storage, tables, untrusted
from resleak.captures.locks import temporary_folder
from resleak.captures.parquet_outline import outline
from resleak.captures.raw import INSTRUMENTS
from resleak.errors import StoreError

TYPE = "application/x-xz"
_BLOCK = re.compile(rf'<script type="{re.escape(TYPE)}">([A-Za-z0-9+/=]*)</script>'.encode())
#: Characters of base64 in a report: what a case file needs, and still under a megabyte in all.
MOST_TEXT = 230_000
#: Of a report that somebody sent: bytes of the file, of the archive in it, and of what comes out
#: of that; its streams, files and values.
_MOST_FILE, _MOST_PACKED, _MOST_BYTES = 64 << 20, 4 << 20, 64 << 20
_MOST_STREAMS, _MOST_FILES, _MOST_VALUES = 256, 5_000, 16_000_000
_MEMORY = 64 << 20
#: What we write; a dictionary could make a table of gigabytes of a few bytes.
_ENCODINGS, _CODECS = {"PLAIN", "RLE"}, {"none"}
_NAME = re.compile(r"(?:[\w][\w.+-]*/){2,8}(?:manifest\.json|[a-z_]+\.parquet)", re.ASCII)


def pack(folders: Iterable[Path], clean: Callable[[str], str] = str) -> tuple[str, list[Path]]:
    """Return captures as base64 of a tar compressed with xz, and those without room in it.

    `clean` redacts a text; every name and every text of a table goes through it.
    """
    packed, left_out, room = b"", [], MOST_TEXT * 3 // 4
    folders = list(folders)
    redact = _with_names(folders, clean)
    for group in _grouped(folders):
        more = lzma.compress(_tar(group, redact), preset=6)
        if len(packed) + len(more) <= room:
            packed += more
        else:
            left_out += group
    return base64.b64encode(packed).decode(), left_out


def script(text: str) -> str:
    """Return packed captures as an element that shows nothing and runs nothing."""
    return f'<script type="{TYPE}">{escape(text)}</script>' if text else ""


def unpack(report: Path) -> Path:
    """Write the captures of a report into a folder that lasts as long as this process.

    Raises StoreError for anything that is not as we write it; nothing in it is run.
    """
    found = _BLOCK.findall(untrusted.content(report, _MOST_FILE))
    if len(found) != 1:
        raise StoreError(f"{report} is no report with captures in it: `resleak share` writes one")
    return _unpacked(found[0], report.name)


@cache
def _unpacked(text: bytes, name: str) -> Path:
    """Return the folder of an archive's captures; it is removed when this process ends."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder())
            for path, content in _members(_expanded(base64.b64decode(text, validate=True))):
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        except OSError as error:
            message = f"cannot unpack {name}: {error.strerror or error}; free space in TMPDIR"
            raise StoreError(message) from None
        except (ValueError, lzma.LZMAError, EOFError, tarfile.TarError) as error:
            message = f"the captures in {name} are damaged: {error}; ask for the file again"
            raise StoreError(message) from None
        atexit.register(stack.pop_all().close)
    return folder


def _expanded(packed: bytes) -> bytes:
    """Return what several xz streams hold, one after the other; never more than is allowed."""
    made, left = bytearray(), packed
    if len(packed) > _MOST_PACKED:
        raise ValueError(f"more than {_MOST_PACKED >> 20} MiB")
    for _ in range(_MOST_STREAMS):
        if not left:
            return bytes(made)
        one = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
        made += one.decompress(left, max_length=_MOST_BYTES - len(made) + 1)
        if len(made) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES >> 20} MiB")
        if not one.eof:
            raise ValueError("cut off")
        left = one.unused_data
    raise ValueError(f"more than {_MOST_STREAMS} parts")


def _members(archive: bytes) -> Iterator[tuple[PurePosixPath, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:", ignore_zeros=True) as tar:
        size = values = 0
        for number, member in enumerate(tar):
            size += member.size  # that of a sparse file may be anything
            is_ours = member.isreg() and not member.issparse() and _NAME.fullmatch(member.name)
            file = tar.extractfile(member) if is_ours and number < _MOST_FILES else None
            if file is None or size > _MOST_BYTES:
                raise ValueError(f"{member.name[:60]!r} has no place in a capture")
            content = file.read()
            if member.name.endswith(".parquet"):
                about = outline(content)
                values += about.rows * about.columns
                as_ours = about.encodings <= _ENCODINGS and about.codecs <= _CODECS
                if values > _MOST_VALUES or not as_ours:
                    raise ValueError("a table in it is not as we write them")
            yield PurePosixPath(member.name), content


def _grouped(folders: Iterable[Path]) -> list[list[Path]]:
    """Return folders by scenario and instrument: gauges before all that needs more room."""
    groups: dict[tuple[bool, str, str], list[Path]] = {}
    for folder in folders:
        manifest = storage.read_manifest(folder)
        instrument = manifest.instrument
        key = (instrument != next(iter(INSTRUMENTS)), manifest.scenario.name, instrument)
        groups.setdefault(key, []).append(folder)
    return [groups[key] for key in sorted(groups, key=lambda key: key[0])]


def _with_names(folders: list[Path], clean: Callable[[str], str]) -> Callable[[str], str]:
    """Return `clean` with one new name for each private name of a scenario, variant or gauge."""
    names: dict[str, None] = {}
    for folder in folders:
        scenario = storage.read_manifest(folder).scenario
        gauges = [gauge.name for gauge in scenario.own_gauges]
        names |= dict.fromkeys([scenario.name, *scenario.variants, *gauges])
    private = [name for name in names if clean(name) != name]
    new_names = {name: f"redacted_{number}" for number, name in enumerate(private, 1)}
    return lambda text: new_names[text] if text in new_names else clean(text)


def _tar(folders: Iterable[Path], clean: Callable[[str], str]) -> bytes:
    """Return folders as one tar of tables that are not compressed: together they do it better."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.USTAR_FORMAT) as tar:
        for folder in folders:
            for name, content in _files(folder, clean):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _files(folder: Path, clean: Callable[[str], str]) -> Iterator[tuple[str, bytes]]:
    manifest = storage.read_manifest(folder)
    names = clean(manifest.scenario.name), clean(manifest.variant), folder.name
    inside = "/".join(re.sub(r"[^\w./+-]", "_", name) for name in names)
    text = json.dumps(_cleaned(replace(manifest, env={}).to_json(), clean), ensure_ascii=False)
    yield f"{inside}/{storage.MANIFEST}", text.encode()
    for path in sorted(folder.glob("*.parquet")):
        yield f"{inside}/{path.name}", tables.uncompressed(path, clean)


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, (list, tuple)):
        return [_cleaned(item, clean) for item in value]
    if isinstance(value, dict):
        return {clean(str(key)): _cleaned(item, clean) for key, item in value.items()}
    return value
