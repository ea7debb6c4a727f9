"""Where captures live: the folder's layout, written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from resleak.captures import archive, untrusted
from resleak.captures.files import write_json
from resleak.captures.locks import locked
from resleak.captures.manifest import Manifest
from resleak.captures.raw import INSTRUMENTS
from resleak.errors import CaptureError, StoreError

MANIFEST = "manifest.json"
_INCOMPLETE, _REPLACED = ".incomplete", ".replaced"
#: Hidden folders of unfinished work, and visible ones of failed runs.
_UNFINISHED = re.compile(
    r"\.(?P<name>.+)(?P<kind>\.incomplete|\.replaced)-\d+-[0-9a-f]{8}", re.DOTALL
)
_KEPT = re.compile(r"\.incomplete-\d+-[0-9a-f]{8}$")
#: Seconds for which a run waits for another one that writes to the same place.
_WAIT_S = 3.0


def is_capture(folder: Path, place: Path) -> bool:
    """Return True if a folder holds a capture of the scenario, variant and run of a place."""
    try:
        manifest = read_manifest(folder)
    except StoreError:
        return False
    name = f"{manifest.instrument}-{manifest.run:02d}"
    parts = (*manifest.scenario.name.split("/"), manifest.variant, name)
    return place.absolute().parts[-len(parts) :] == parts and bool(manifest.session)


def _foreign(folder: Path) -> list[Path]:
    """Return what is in the folder of a complete capture besides its manifest and tables."""
    manifest = read_manifest(folder)
    own = {MANIFEST, *(f"{name}.parquet" for name in INSTRUMENTS[manifest.instrument].tables)}
    return [path for path in folder.iterdir() if manifest.is_complete and path.name not in own]


def refuse_foreign(folder: Path, is_ours: Callable[[Path, Path], bool] = is_capture) -> None:
    """Raise CaptureError if there is anything in a folder's place but what we wrote there."""
    is_folder = folder.is_dir() and not folder.is_symlink()
    if not os.path.lexists(folder) or (is_folder and not any(folder.iterdir())):
        return
    if not is_folder or not is_ours(folder, folder):
        message = f"{folder} is not an earlier capture of the same variant, so it is left alone"
        raise CaptureError(f"{message}; choose another --out or --name")
    if is_ours is is_capture and (foreign := _foreign(folder)):
        message = f"{foreign[0]} is no part of the capture in this folder, which would be replaced"
        raise CaptureError(f"{message}; move it, or choose another --out or --name")


@contextmanager
def writing(folder: Path, is_ours: Callable[[Path, Path], bool] = is_capture) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` when the block ends well.

    After an error, ``NAME.incomplete-PID-RANDOM`` is left if a manifest was written by then. After
    a kill, a hidden folder of that name is left, which no reader loads and the next run removes.
    """
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
    """Keep other runs from writing below a folder, or raise CaptureError if one does.

    Folders that this makes, and those in them, are removed if they are empty at the end.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with ExitStack() as stack:
        try:
            stack.callback(_remove_empty, made)
            folder.mkdir(parents=True, exist_ok=True)
            if stack.enter_context(locked(folder, _WAIT_S)) is False:
                message = f"another run writes to {folder}; wait for it, or choose another --out"
                raise CaptureError(message)
            _to_folders(folder / archive.NAME)
        except OSError as error:
            raise CaptureError(_disk_message(folder, error)) from error
        yield


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, innermost first, as far as there is no file in them."""
    inner = sorted(folders[0].rglob("*"), reverse=True) if folders else []
    for path in (*inner, *folders):
        with suppress(OSError):  # a file, or a folder that is not empty
            path.rmdir()


def _to_folders(packed: Path) -> None:
    """Replace an archive, if there is one, by the folders of its captures: one may be replaced."""
    if not packed.is_file():
        return
    _remove_leftovers(packed, is_capture)
    staged = packed.with_name(f".{packed.name}{_INCOMPLETE}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        for source in unpacked(packed):
            table_files(source)
            shutil.copytree(source, staged / source.parent.name / source.name)
        for variant in sorted(staged.iterdir()):
            place = packed.with_name(variant.name)
            if not _has_all(place, variant):  # else an interrupted run has moved it
                os.rename(variant, place)
        packed.unlink()
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _has_all(place: Path, variant: Path) -> bool:
    """Return True if a place has every capture of a variant's folder."""
    manifests = [path.relative_to(variant) for path in variant.glob(f"*/{MANIFEST}")]
    with suppress(StoreError):
        return all(_manifest_bytes(place / m) == _manifest_bytes(variant / m) for m in manifests)
    return False


def _manifest_bytes(path: Path) -> bytes:
    return untrusted.content(path, untrusted.JSON_BYTES)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a capture's folder, or raise StoreError."""
    path = folder / MANIFEST
    try:
        return Manifest.parse(untrusted.parsed(_manifest_bytes(path)))
    except ValueError as error:
        reason = str(error)
        if reason.startswith("says nothing of"):
            reason = f"{reason}: it is older than this version"
        elif not reason.startswith("has schema"):
            reason = f"is damaged ({reason})"
        raise StoreError(f"{path} {reason}; capture the variant again") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest into the folder of its capture."""
    write_json(folder / MANIFEST, manifest.to_json())


def folders(root: Path) -> list[Path]:
    """Return the capture folders at or below a path, also those that archives are unpacked to."""
    return [folder for place in places(root) for folder in unpacked(place)]


def places(root: Path) -> list[Path]:
    """Return the capture folders and archives at or below a path, sorted; never hidden ones."""
    if root.is_file():
        return [root]
    found = (*(path.parent for path in root.rglob(MANIFEST)), *root.rglob(archive.NAME))
    return sorted(
        path
        for path in found
        if not any(map(_UNFINISHED.fullmatch, (root.name, *path.relative_to(root).parts)))
    )


def unpacked(place: Path) -> list[Path]:
    """Return a capture's folder itself, or the folders that an archive or report is unpacked to."""
    return folders(archive.unpack(place)) if place.is_file() else [place]


def table_files(folder: Path) -> list[Path]:
    """Return the files of a capture's tables, sorted."""
    archive.provide(folder / "all tables")
    return sorted(folder.glob("*.parquet"))


def retire(variant: Path, session: str) -> None:
    """Remove the captures of one variant that other sessions left: runs of two never mix."""
    for folder in [*variant.iterdir()] if variant.is_dir() and not variant.is_symlink() else []:
        place = folder.with_name(_KEPT.sub("", folder.name))
        if folder.is_symlink() or not is_capture(folder, place):
            continue
        if read_manifest(folder).session == session:
            continue
        if _foreign(folder):
            (folder / MANIFEST).unlink()  # no capture any more
        else:
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
