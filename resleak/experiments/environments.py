"""Virtual environments with chosen packages, made with uv and kept for the next time."""

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
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from resleak.captures.locks import locked, temporary_folder
from resleak.errors import CaptureError, MissingPackageError, ScenarioError

_DEADLINE_S = 900.0
#: The first set that can be installed beside the requirements is taken.
_MEASURING = (("psutil", "memray"), ("psutil",))
_COMPLETE = "resleak.json"
#: Lists what is installed; a build from a path or URL is identified by the digest of its files.
_FREEZE = """
import hashlib, importlib.metadata, json
versions = {}
for one in importlib.metadata.distributions():
    name, local = one.metadata["Name"].lower(), one.read_text("direct_url.json")
    digest = hashlib.sha256((one.read_text("RECORD") or "").encode()).hexdigest()[:12]
    if name not in ("pip", "resleak", "setuptools"):
        versions.setdefault(name, one.version + ("+" + digest if local else ""))
print(json.dumps(versions))
"""
_BOX = re.compile(r"[\u2500-\u257f\u25b6\u00d7]+")


def make(requirements: Sequence[str], python: str | None = None) -> Path:
    """Return the interpreter of an environment with these requirements; make it if needed.

    It also has psutil and memray: the versions in use here if they fit, else others, or no memray.
    """
    for text in requirements:
        check(text)
    base = _absolute(python or sys.executable)
    # All that it depends on is in its name.
    measuring = [_pinned(name) for name in _MEASURING[0]]
    key = json.dumps([sorted(requirements), base, *measuring])
    name = re.sub(r"[^\w.=-]+", "-", "-".join(requirements))[:60].strip("-")
    unique = hashlib.sha256(key.encode()).hexdigest()[:12]
    folder = cache_folder() / "environments" / f"{name}-{unique}"
    if not (folder / _COMPLETE).exists():
        lock = folder.with_name(f".{folder.name}.lock")
        lock.mkdir(parents=True, exist_ok=True)
        with locked(lock, _DEADLINE_S) as is_free:
            if is_free is False:  # to build would remove what the other run is building
                raise CaptureError(f"another run still builds {folder}; run this again later")
            if not (folder / _COMPLETE).exists():
                _build(folder, base, requirements)
    return folder / "bin" / "python"


def lock(requirements: Sequence[str], python: str | None = None) -> list[str]:
    """Return the versions of all packages that these requirements bring, as requirements."""
    for text in requirements:
        check(text)
    with temporary_folder() as folder:
        wanted, chosen = folder / "wanted.txt", folder / "chosen.txt"
        command = ["pip", "compile", "--quiet", "--no-header", "--no-annotate"]
        command += [
            f"--python={_absolute(python or sys.executable)}",
            f"--output-file={chosen}",
            str(wanted),
        ]
        for beside in _alternatives():
            wanted.write_text("\n".join([*beside, *requirements]))
            try:
                _uv(command, " ".join(requirements))
                return sorted(line for line in chosen.read_text().splitlines() if line.strip())
            except CaptureError as error:
                problem = error
    raise problem


@cache
def installed(python: str) -> dict[str, str]:
    """Return the versions of all packages of an interpreter; of a local build, with a digest."""
    result = _run([_absolute(python), "-I", "-c", _FREEZE])
    if result.returncode:
        raise CaptureError(f"{python} cannot list its packages; check that it is Python")
    return dict(json.loads(result.stdout))


def split(text: str) -> list[str]:
    """Return one requirement, or several that are separated by spaces."""
    try:
        Requirement(text)
    except InvalidRequirement:
        return text.split()
    return [text]


def releases(package: str, python: str | None = None) -> list[str]:
    """Return the releases of a package that fit an interpreter, oldest first.

    Yanked ones and pre-releases are left out. pip is asked, so that its configuration holds.
    """
    if check(package).name != package:
        raise ScenarioError(f"{package!r} is not the name of a package")
    pip = make(["pip>=25"], python)
    result = _run([str(pip), "-I", "-m", "pip", "index", "versions", "--json", "--", package])
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else "no message from pip"
        raise CaptureError(f"the index has no releases of {package}: {reason}")
    return list(reversed(json.loads(result.stdout)["versions"]))


def check(text: str) -> Requirement:
    """Return a requirement, or raise ScenarioError."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        message = f"{text!r} is not a requirement; write NAME, NAME==VERSION or NAME @ URL"
        raise ScenarioError(message) from None


def _build(folder: Path, base: str, requirements: Sequence[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _uv(["venv", "--quiet", f"--python={base}", "--", str(folder)], f"an environment of {base}")
    command = ["pip", "install", "--quiet", f"--python={folder / 'bin' / 'python'}", "--"]
    problems = []
    for beside in _alternatives():
        try:
            _uv([*command, *beside, *requirements], " ".join(requirements))
            break
        except CaptureError as error:
            problems.append(error)
    else:
        raise problems[0]
    (folder / _COMPLETE).write_text(json.dumps(list(requirements)))


def _alternatives() -> Iterator[tuple[str, ...]]:
    """Yield what to install beside the requirements, the best first."""
    for names in _MEASURING:
        yield from (tuple(map(_pinned, names)), names)


def _pinned(name: str) -> str:
    try:
        return f"{name}=={importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return name


def _uv(arguments: list[str], what: str) -> None:
    if executable := shutil.which("uv"):
        command = [executable]
    elif importlib.util.find_spec("uv") is not None:
        command = [sys.executable, "-P", "-m", "uv"]
    else:
        raise MissingPackageError("environments need uv: pip install uv")
    result = _run([*command, *arguments])
    if result.returncode:
        message = " ".join(_BOX.sub(" ", result.stderr).split())  # without the lines uv draws
        raise CaptureError(f"cannot install {what}: {message[:600] or 'no message from uv'}")


def _absolute(python: str) -> str:
    """Return an interpreter as a path that holds in any folder, or as a name to search for."""
    return os.path.abspath(python) if os.sep in python else python


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    # Not in the working folder, where uv would follow a stranger's uv.toml or pyproject.toml.
    # The machine's certificates, and pip's index where uv has none.
    index = os.environ.get("PIP_INDEX_URL")
    settings = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    settings |= {"UV_DEFAULT_INDEX": index} if index and "UV_INDEX_URL" not in os.environ else {}
    try:
        return subprocess.run(
            command, env={**settings, **os.environ}, stdin=subprocess.DEVNULL, cwd=os.sep,
            capture_output=True, text=True, errors="replace", check=False, timeout=_DEADLINE_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CaptureError(f"{Path(command[0]).name} failed: {error}") from None


def cache_folder() -> Path:
    """Return our folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "resleak"


def digest(versions: Mapping[str, str]) -> str:
    """Return 12 hex digits for the packages of `installed`."""
    return hashlib.sha256(json.dumps(sorted(versions.items())).encode()).hexdigest()[:12]
