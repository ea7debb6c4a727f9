"""Parts of every page: its security policy, its versions, and how it is written."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import platform
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from resleak.captures import files
from resleak.errors import ShareError

#: The mark by which a page is known as a report of ours.
GENERATOR = b'<meta name="generator" content="resleak">'
TEMPLATES = Path(__file__).parent / "templates"
_PACKAGES = ("resleak", "numpy", "pandas", "plotly", "scipy", "memray", "psutil", "pyarrow")


def template(name: str) -> str:
    """Return a file of the folder of templates."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def policy(scripts: Sequence[str]) -> str:
    """Return a policy under which nothing is fetched and only these scripts run."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes or repr('none')}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def written_with() -> list[tuple[str, str]]:
    """Return the time, and the versions that a report is written with."""
    system = f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}"
    versions = []
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    return [
        ("Written", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("Python", system),
        ("Packages", ", ".join(versions)),
    ]


def write(target: Path, content: str | bytes) -> None:
    """Write a file completely or not at all; raise ShareError if it cannot be written."""
    try:
        files.write(target, content)
    except OSError as error:
        reason = f"{error.strerror or error}; choose another place with -o"
        raise ShareError(f"cannot write {target}: {reason}") from None
