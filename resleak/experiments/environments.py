"""Environments made on the fly: an interpreter with certain packages, kept for the next time."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from resleak.errors import CaptureError, MissingPackageError

_DEADLINE_S = 900.0
#: The first set that can be installed beside what was asked for is taken.
_MEASURING = (("psutil", "memray"), ("psutil",))
_COMPLETE = "resleak.json"
_BOX = re.compile(r"[\u2500-\u257f\u25b6\u00d7]+")


def make(requirements: Sequence[str], python: str | None = None) -> Path:
    """Make an environment with uv, or return the one that was made before.

    psutil and memray are in it too: the versions that are used here if they fit, else others; and
    without memray, if none fits.

    Parameters
    ----------
    requirements : sequence of str
        What to install, as for pip: ``httpx==0.27``, a path, a URL.
    python : str, optional
        The interpreter it is made of; this one by default.

    Returns
    -------
    Path
        Its interpreter.

    Raises
    ------
    MissingPackageError
        If uv is not installed.
    CaptureError
        If something cannot be installed.
    """
    base = python or sys.executable
    folder = _folder(requirements, base)
    interpreter = folder / "bin" / "python"
    if not (folder / _COMPLETE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _uv(["venv", "--quiet", "--python", base, str(folder)], f"an environment of {base}")
        _install(interpreter, requirements)
        (folder / _COMPLETE).write_text(json.dumps(list(requirements)))
    return interpreter


def releases(package: str, python: str | None = None) -> list[str]:
    """Return the releases of a package that its index offers, oldest first.

    Yanked ones and pre-releases are left out, and those that the interpreter is too old or too new
    for. pip is asked, so that its configuration (the index, certificates) holds.

    Raises
    ------
    CaptureError
        If there is no such package, or the index cannot be reached.
    """
    pip = make(["pip>=25"], python)
    found = _run([str(pip), "-m", "pip", "index", "versions", package, "--json"])
    if found.returncode:
        raise CaptureError(f"the index has no releases of {package}: {_last(found.stderr)}")
    return list(reversed(json.loads(found.stdout)["versions"]))


def _install(interpreter: Path, requirements: Sequence[str]) -> None:
    wanted = " ".join(requirements)
    problem: CaptureError | None = None
    for names in _MEASURING:
        for beside in ([*map(_pinned, names)], [*names]):
            command = ["pip", "install", "--quiet", "--python", str(interpreter)]
            try:
                return _uv([*command, *beside, *requirements], wanted)
            except CaptureError as error:
                problem = problem or error
    raise problem or CaptureError(f"{wanted} cannot be installed")


def _pinned(name: str) -> str:
    try:
        return f"{name}=={importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return name


def _uv(arguments: list[str], what: str) -> None:
    result = _run([*_command(), *arguments])
    if result.returncode:
        raise CaptureError(f"cannot install {what}: {_told(result.stderr)}")


def _command() -> list[str]:
    if found := shutil.which("uv"):
        return [found]
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    raise MissingPackageError("environments are made with uv, which is not here: pip install uv")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_DEADLINE_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CaptureError(f"{Path(command[0]).name} did not end well: {error}") from None


def _environment() -> dict[str, str]:
    """Return ours, with the machine's certificates, and pip's index where uv has none."""
    index = os.environ.get("PIP_INDEX_URL")
    ours = {"UV_DEFAULT_INDEX": index} if index and "UV_INDEX_URL" not in os.environ else {}
    return {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1", **ours, **os.environ}


def _folder(requirements: Sequence[str], base: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = json.dumps(
        [sorted(requirements), str(Path(base).absolute()), *map(_pinned, _MEASURING[0])]
    )
    name = re.sub(r"[^\w.=-]+", "-", "-".join(requirements))[:60].strip("-")
    return (
        cache
        / "resleak"
        / "environments"
        / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    )


def _told(text: str) -> str:
    """Return what uv says as one line, without the lines it draws."""
    told = " ".join(_BOX.sub(" ", text).split())
    return told[:600] or "uv says nothing"


def _last(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "pip says nothing")
