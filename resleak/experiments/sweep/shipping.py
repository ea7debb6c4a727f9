"""Workloads that travel: a file with the modules beside it that it imports, and their digest."""

from __future__ import annotations

import ast
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from resleak.captures import files
from resleak.errors import CaptureError, ScenarioError
from resleak.experiments.environments import cache_folder
from resleak.workload import catalog, resolve
from resleak.workload.digest import digest, parsed
from resleak.workload.resolve import Workload

_BYTES = 4 << 20


@dataclass(frozen=True)
class Shipped:
    """A workload that any worker can find.

    `target` is what `resolve.find` takes. A file that is no scenario of ours travels with what it
    imports from its folder, as paths and texts (`files`). Tests and functions stay where they are:
    their folder must be at `root` on every worker.
    """

    target: str
    root: str
    digest: str
    files: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, text: str, root: Path) -> Shipped:
        """Return the workload of a name, path, test or function as a plan has it."""
        is_file = text.endswith(".py")
        work = resolve.find(str(root / text) if is_file else text, root)
        if work.file.is_relative_to(catalog.ROOT):
            return cls(work.name, "", _digest([work.file], work.name))
        files = sorted(_files(work))
        if not is_file:
            return cls(text, str(root), _digest(files, text))
        texts = []
        for file in [work.file, *(file for file in files if file != work.file)]:
            try:
                content = file.read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "it is not UTF-8"
                raise ScenarioError(f"{file} cannot be read: {reason}") from None
            texts.append((file.relative_to(work.file.parent).as_posix(), content))
        if sum(len(content) for _, content in texts) > _BYTES:
            raise ScenarioError(f"{text} imports more than {_BYTES >> 20} MiB of its own files")
        return cls(work.file.name, "", _digest(files, work.name), tuple(texts))

    def workload(self) -> Workload:
        """Return the workload on this machine; files are written once, under their digest."""
        if not self.files:
            return resolve.find(self.target, Path(self.root) if self.root else None)
        name = hashlib.sha256(repr(self.files).encode(errors="surrogatepass")).hexdigest()[:16]
        folder = cache_folder() / "workloads" / name
        if not folder.is_dir():
            partial = folder.with_name(f".{name}.{os.getpid()}.{secrets.token_hex(4)}")
            try:
                for path, content in self.files:
                    files.write(partial / path, content)
                os.rename(partial, folder)
            except OSError as error:
                shutil.rmtree(partial, ignore_errors=True)
                if not folder.is_dir():  # else another process was first
                    reason = f"{error.strerror or error}; free space, or set XDG_CACHE_HOME"
                    raise CaptureError(f"cannot write {folder}: {reason}") from None
        return resolve.find(str(folder / self.target))


def _digest(files: list[Path], name: str) -> str:
    """Return the digest of code: equal for files that differ only in words."""
    try:
        parts = [(file.name, digest(file)) for file in files]
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        raise ScenarioError(f"{name} cannot be read as Python: {error}") from None
    return hashlib.sha256(repr((name, parts)).encode()).hexdigest()[:12]


def _files(work: Workload) -> set[Path]:
    """Return the files of a workload below its root: itself and all that it imports from there."""
    module = work.target.partition(":")[0]
    todo = [*_modules(work.root, module)] if work.kind == "function" else [work.file]
    if work.kind == "test":
        folders = [folder for folder in work.file.parents if folder.is_relative_to(work.root)]
        todo += [file for folder in folders if (file := folder / "conftest.py").is_file()]
    found: set[Path] = set()
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            for name in _imported(file):
                for root in {work.root, file.parent}:
                    todo += _modules(root, name)
    return found


def _imported(file: Path) -> Iterator[str]:
    try:
        tree = parsed(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return  # `_digest` says it
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = getattr(node, "module", None) or ""
            yield from (f"{module}.{alias.name}".strip(".") for alias in node.names)


def _modules(root: Path, name: str) -> Iterator[Path]:
    """Yield the file of a module below a folder, and those of the packages that it lies in."""
    place = root
    for part in filter(None, name.split(".")):
        place /= part
        yield from (
            file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()
        )
