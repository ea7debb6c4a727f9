"""What every page of ours has: a policy against all but its own scripts, and how it was made."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import resleak
from resleak.errors import ShareError

_PACKAGES = ("resleak", "numpy", "pandas", "plotly", "scipy", "memray", "psutil", "pyarrow")


def policy(scripts: Sequence[str]) -> str:
    """Return a policy under which nothing is fetched and only these very scripts run."""
    hashes = " ".join(f"'sha256-{digest(script)}'" for script in scripts) or "'none'"
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def digest(script: str) -> str:
    """Return what the policy calls a script by."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def written_with() -> list[tuple[str, str]]:
    """Return when, and with what, a report is written."""
    system = f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}"
    return [
        ("Written", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("Python", system),
        ("Packages", ", ".join(filter(None, map(_version, _PACKAGES)))),
    ]


def _version(package: str) -> str:
    if package == "resleak":  # it may run from a folder, without being installed
        return f"resleak {resleak.__version__}"
    with suppress(importlib.metadata.PackageNotFoundError):
        return f"{package} {importlib.metadata.version(package)}"
    return ""


def write(target: Path, content: str | bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    ShareError
        If it cannot be written.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(target)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        why = error.strerror or error
        raise ShareError(f"cannot write {target}: {why}; choose another place with -o") from None
