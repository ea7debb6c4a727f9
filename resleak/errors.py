"""Errors that a user can fix, and the report of those that only we can fix."""

from __future__ import annotations

import os
import re
import tempfile
import traceback
from collections import Counter
from contextlib import suppress
from typing import Any

#: A word that is longer than any name of a file; it would fill the screen.
_LONG = re.compile(r"(\S{60})\S{196,}(\S{20})")


class ResleakError(Exception):
    """Base of every error that resleak raises on purpose; its message has no endless words."""

    def __str__(self) -> str:
        return _LONG.sub(r"\1…\2", super().__str__())


class ScenarioError(ResleakError):
    """A scenario file, name, variant or parameter cannot be used."""


class CaptureError(ResleakError):
    """A run could not be started, finished or stored."""


class ProcessError(ResleakError):
    """A process to watch does not exist, has ended, or belongs to another user."""


class StoreError(ResleakError):
    """A stored capture is missing, incomplete, damaged or not one of ours."""


class PlatformError(ResleakError):
    """The operating system lacks a required feature."""


class MissingPackageError(ResleakError):
    """An optional package is not installed; the message has the install command."""


class ShareError(ResleakError):
    """A notebook or report could not be rendered."""


class BudgetError(ResleakError):
    """A budget file is missing or malformed, or one of its budgets is invalid."""


class OutputError(ResleakError):
    """Standard output could not be written."""


def install_command(module: str) -> str:
    """Return the command that installs the smallest extra with a missing module, or ""."""
    from importlib import metadata

    package = module.split(".")[0].replace("_", "-").lower()
    requirements = ""
    with suppress(metadata.PackageNotFoundError):
        requirements = "\n".join(metadata.requires("resleak") or ())
    # Extras are written with hyphens there.
    found = re.findall(r"(?m)^([\w.-]+).*; extra == .([\w-]+)", requirements)
    extras, sizes = [of for name, of in found if name == package], Counter(of for _, of in found)
    extras.sort(key=lambda of: (of != "lab", sizes[of]))  # `lab` has what most commands need
    return install_extra(extras[0]) if extras else ""


def install_extra(extra: str) -> str:
    """Return the command that installs an extra from where this package was installed from."""
    import json
    from importlib import metadata
    from urllib.parse import unquote, urlsplit

    origin: dict[str, Any] = {}
    with suppress(metadata.PackageNotFoundError, ValueError):
        origin = json.loads(metadata.distribution("resleak").read_text("direct_url.json") or "{}")
    url = str(origin.get("url", ""))
    if origin.get("dir_info", {}).get("editable"):
        return f"pip install -e '{unquote(urlsplit(url).path)}[{extra}]'"
    return f"pip install 'resleak[{extra}]{f' @ {url}' if url else ''}'"


def missing(need: str, extra: str) -> MissingPackageError:
    """Return the error for a need that an extra meets."""
    return MissingPackageError(f"{need}: {install_extra(extra)}")


def save_traceback(error: BaseException) -> str:
    """Write a traceback to a private file; return one line that names the error and the file."""
    name = type(error).__name__
    text = "".join(traceback.format_exception(error))
    try:
        descriptor, path = tempfile.mkstemp(prefix="resleak-traceback-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as problem:
        return f"unexpected {name}: {error}; its traceback could not be written: {problem.strerror}"
    return f"unexpected {name}: {error}; please report it with the traceback in {path}"
