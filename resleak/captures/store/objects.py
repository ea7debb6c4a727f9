"""Files at a URL that fsspec knows: created once, written whole, failures in one line."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from resleak.captures import files, untrusted
from resleak.errors import MissingPackageError, StoreError, missing

#: Pauses before a failed request is repeated, seconds.
_PAUSES_S = (0.2, 1.0, 4.0)
_LASTING = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT, errno.ENOTDIR}
_CREDENTIALS = ("ExpiredToken", "NoCredentials", "PartialCredentials", "RefreshError")
#: Errors that say all themselves.
_PLAIN = (FileExistsError, FileNotFoundError, StoreError)
T = TypeVar("T")


class Objects:
    """Named files below a URL."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError:
            raise missing("a store needs fsspec", "cluster") from None
        self.url = url if "://" in url else Path(url).absolute().as_uri()
        if "@" in urlsplit(self.url).netloc:
            message = "the store's URL has credentials in it; put them into the environment"
            raise StoreError(f"{message}, where its client looks for them")
        with self._explained():
            self._fs, root = fsspec.core.url_to_fs(self.url)
        self._root = str(root).rstrip("/")
        self.is_shared = "memory" not in self._fs.protocol
        self._is_local = "file" in self._fs.protocol

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that does not exist; return False if it does."""
        path = self._path(name)
        try:
            if self._is_local:
                self._call(files.write, Path(path), data, files.put_new)
            else:
                self._call(self._fs.pipe_file, path, data, mode="create")
        except FileExistsError:
            return False
        return True

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whether or not it exists."""
        if self._is_local:
            # Not `os.replace`, with which `atomic` would write into a pipe that has the name.
            self._call(files.write, Path(self._path(name)), data, os.rename)
        else:
            self._call(self._fs.pipe_file, self._path(name), data)

    def read(self, name: str, limit: int) -> bytes | None:
        """Return the contents of a file of at most `limit` bytes; None if there is no such file."""
        try:
            data = self._call(self._start, self._path(name), limit + 1)
        except FileNotFoundError:
            return None
        if len(data) > limit:
            raise StoreError(f"{name} in the store is larger than {limit >> 20} MiB")
        return data

    def _start(self, path: str, size: int) -> bytes:
        """Return the first bytes of a file."""
        if not self._is_local:
            return bytes(self._fs.cat_file(path, end=size))
        with untrusted.opened(Path(path)) as file:
            return file.read(size)

    def names(self, folder: str) -> list[str]:
        """Return the names of all files below a folder, sorted."""
        with suppress(FileNotFoundError):
            self._fs.invalidate_cache()  # other processes write, too
            paths = self._call(self._fs.find, self._path(folder))
            names = (path.removeprefix(self._root).lstrip("/") for path in paths)
            return sorted(name for name in names if not name.endswith(".tmp"))
        return []

    def remove(self, names: list[str]) -> None:
        """Remove files that this process wrote, as far as that can be done."""
        for name in names:
            with suppress(OSError, StoreError):
                self._call(self._fs.rm_file, self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _call(self, operation: Callable[..., T], *arguments: Any, **more: Any) -> T:
        """Do it, again if it fails for a reason that may pass."""
        for pause_s in _PAUSES_S:
            try:
                return operation(*arguments, **more)
            except _PLAIN:
                raise
            except Exception as error:
                if _lasts(error):
                    break
                time.sleep(pause_s)
        with self._explained():
            return operation(*arguments, **more)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn any failure into one line; what a client said may have credentials in it."""
        try:
            yield
        except _PLAIN:
            raise
        except ImportError:
            protocol = self.url.split("://")[0]
            message = f"{protocol}:// needs a package that is not installed (s3fs, gcsfs, adlfs)"
            raise MissingPackageError(message) from None
        except Exception as error:
            raise StoreError(f"the store at {self.url} {_reason(error)}") from None


def _lasts(error: Exception) -> bool:
    """Return True if there is no point in trying again."""
    kinds = (PermissionError, ImportError, ValueError, NotImplementedError)
    number = getattr(error, "errno", None)
    return isinstance(error, kinds) or number in _LASTING or _is_of_credentials(error)


def _is_of_credentials(error: Exception) -> bool:
    text = f"{type(error).__name__} {error}"
    return any(word in text for word in _CREDENTIALS)


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "is full; free space, then run the same command again"
    if number in (errno.EROFS, errno.ENOTDIR):
        return "is read-only, or no folder; choose another --store"
    if isinstance(error, PermissionError) or _is_of_credentials(error):
        return "refuses access: renew the credentials, then run the same command again"
    if isinstance(error, (ValueError, NotImplementedError)):
        return f"cannot be used ({type(error).__name__}); give a folder, s3://BUCKET/… or gs://…"
    return f"does not answer ({type(error).__name__}); run the same command again later"
