"""Pack captures into one file; see `resleak.captures.archive`."""

from __future__ import annotations

import base64
import io
import json
import lzma
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from resleak.captures import archive, storage, tables
from resleak.captures.files import atomic
from resleak.captures.manifest import Manifest

#: Characters of base64 in a report: what a case file needs, and still under a megabyte in all.
MOST_TEXT = 230_000
#: Bytes in which repetitions are found: half of the memory that a reader may use.
_WINDOW = 32 << 20


def pack(folders: Iterable[Path], clean: Callable[[str], str] = str) -> tuple[str, list[Path]]:
    """Return redacted captures as base64 of a tar with xz, and those without room in it."""
    packed, left_out, room = b"", [], MOST_TEXT * 3 // 4
    folders = list(folders)
    redact = _with_names(folders, clean)
    for group in _grouped(folders):
        manifests = (_manifest(one, redact, lambda m: replace(m, env={})) for one in group)
        more = _compressed([*manifests, *_tables(group, redact)])
        if len(packed) + len(more) <= room:
            packed += more
        else:
            left_out += group
    return base64.b64encode(packed).decode(), left_out


def write(
    path: Path, folders: Iterable[Path], change: Callable[[Manifest], Manifest] = lambda m: m
) -> None:
    """Write captures to an archive, manifests first; the same captures give the same bytes."""
    folders = sorted(folders)
    parts = [_compressed(_manifest(folder, str, change) for folder in folders)]
    parts += [_compressed(_tables(group, str)) for group in _grouped(folders)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_bytes(b"".join(parts))
        archive.provide(archive.unpack(temporary) / "all of it")  # a reader may refuse it


def _compressed(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return files as a tar compressed with xz; its window is that of the reader at most."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    window = min(max(buffer.tell(), 1 << 12), _WINDOW)
    options = {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": window}
    return lzma.compress(buffer.getvalue(), filters=[options])


def _grouped(folders: Iterable[Path]) -> list[list[Path]]:
    """Return folders by scenario and instrument: gauges first, and last what needs most room."""
    groups: dict[tuple[bool, bool, str, str], list[Path]] = {}
    for folder in folders:
        manifest = storage.read_manifest(folder)
        instrument = manifest.instrument
        order = instrument != "gauges", instrument == "memray"
        groups.setdefault((*order, manifest.scenario.name, instrument), []).append(folder)
    return [groups[key] for key in sorted(groups, key=lambda key: key[:2])]


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


def _manifest(
    folder: Path, clean: Callable[[str], str], change: Callable[[Manifest], Manifest]
) -> tuple[str, bytes]:
    value = _cleaned(change(storage.read_manifest(folder)).to_json(), clean)
    content = json.dumps(value, ensure_ascii=False).encode()
    return f"{_inside(folder, clean)}/{storage.MANIFEST}", content


def _tables(folders: Iterable[Path], clean: Callable[[str], str]) -> Iterator[tuple[str, bytes]]:
    """Yield tables that are not compressed: together they compress better."""
    for folder in folders:
        for path in storage.table_files(folder):
            yield f"{_inside(folder, clean)}/{path.name}", tables.uncompressed(path, clean)


def _inside(folder: Path, clean: Callable[[str], str]) -> str:
    """Return the name of a capture's folder inside an archive."""
    manifest = storage.read_manifest(folder)
    names = clean(manifest.scenario.name), clean(manifest.variant), folder.name
    return "/".join(re.sub(r"[^\w./+-]", "_", name) for name in names)


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, (list, tuple)):
        return [_cleaned(item, clean) for item in value]
    if isinstance(value, dict):
        return {clean(str(key)): _cleaned(item, clean) for key, item in value.items()}
    return value
