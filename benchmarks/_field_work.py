"""Workloads after public reports: what their headers say, and how resleak and psleak judge them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import resleak
from resleak.captures import source_paths
from resleak.experiments import environments

FOLDER = Path(__file__).parent / "field"
_PACKAGE = Path(resleak.__file__).parent
_PSLEAK = FOLDER / "_psleak.py"
#: Longest run of the default command, and of psleak.
_DEADLINE_S, _PEER_DEADLINE_S = 400, 90
_HEADER = re.compile(r"^(Source|Environment|Packages|Kind|Rates|Full|Truth): (.+)$", re.M)

_PEERS = ("psleak==0.1.6",)
#: Environments by name; `plain` is the interpreter in use, without packages.
ENVIRONMENTS = {
    "plain": _PEERS,
    "current": (
        "aiohttp==3.14.5", "attrs==26.1.0", "babel==2.12.1", "boto3==1.44.8", "botocore==1.44.8",
        "cachetools==8.0.2", "django==5.2.19", "dnspython==2.9.2", "duckdb==2.0.1", "httpx==0.28.1",
        "jinja2==3.1.6", "loguru==0.7.3", "lxml==6.1.3", "marshmallow==4.4.0", "matplotlib==3.11.2",
        "numpy==2.4.6", "orjson==3.13.0", "pandas==3.1.1", "prometheus-client==0.26.0",
        "pydantic==2.14.4", "rdflib==7.6.0", "requests==2.34.2", "sqlalchemy==2.1.9",
        "sympy==1.14.0", "urllib3==2.8.0", "watchdog==7.1.0", "yarl==1.25.1", *_PEERS,
    ),
    "older": ("babel==2.11.0", "pydantic==2.5.2", *_PEERS),
}  # fmt: skip
#: Gauges in which a measured quantity may show, by the names that headers use.
SHOWN_BY = {
    "malloc": {"heap", "native", "rss", "uss"},
    "anonymous": {"rss", "uss", "anon"},
    "zombies": {"zombies", "children"},
    "tempfiles": {"tempfiles", "files"},
}


@dataclass(frozen=True)
class Work:
    """A file of `benchmarks/field`."""

    file: Path

    @property
    def name(self) -> str:
        """The file's name."""
        return self.file.stem

    @cached_property
    def header(self) -> dict[str, str]:
        """The fields of its docstring, by keyword."""
        return dict(_HEADER.findall(self.file.read_text(encoding="utf-8")))

    @property
    def kind(self) -> str:
        """``leaky``, ``bounded`` (full after some steps) or ``clean``."""
        return self.header["Kind"]

    @property
    def leaks(self) -> bool:
        """True if it leaks."""
        return self.kind == "leaky"

    @property
    def rates(self) -> dict[str, float]:
        """The measured growth per step, by quantity."""
        pairs = [one.split() for one in self.header.get("Rates", "").split(",") if one.strip()]
        return {name: float(rate) for name, rate in pairs}

    @property
    def full(self) -> int | None:
        """The steps after which it is full, if it is bounded."""
        return int(self.header["Full"]) if "Full" in self.header else None

    @property
    def environment(self) -> str:
        """The name of its environment."""
        return self.header["Environment"]

    @property
    def code(self) -> str:
        """Digest of its code and its environment; its header is no part of it."""
        _, _, code = self.file.read_text(encoding="utf-8").split('"""', 2)
        return _digest(code + repr(ENVIRONMENTS[self.environment]))

    def row(self) -> dict[str, Any]:
        """Return what its header says, and its code: it stands in every result."""
        told = {"workload": self.name, "kind": self.kind, "leaks": self.leaks, "full": self.full}
        return {**told, "rates": self.rates, "code": self.code, "environment": self.environment}

    def is_expected(self, gauge: str) -> bool:
        """Return True if the leak may show in this gauge."""
        return any(gauge in SHOWN_BY.get(name, {name}) for name in self.rates)


def all_work(names: list[str] | None = None) -> list[Work]:
    """Return the workloads in random order, so that any first part is a fair sample."""
    found = [Work(file) for file in FOLDER.glob("[!_]*.py")]
    chosen = [one for one in found if not names or one.name in names]
    return sorted(chosen, key=lambda one: _digest(one.name))


def package_code() -> str:
    """Return a digest of all code that a default run depends on."""
    return _of_files("analysis", "captures", "experiments", "harness", "workload")


def judge_code() -> str:
    """Return a digest of all code that judges a log."""
    return _of_files("analysis", "captures", "workload")


def resleak_says(one: Work) -> dict[str, Any]:
    """Run the default command; return verdict, gauges, and seconds of wall clock and CPU."""
    command = [sys.executable, "-m", "resleak", "investigate", str(one.file), "--json"]
    if one.environment != "plain":
        command += ["--python", str(_interpreter(one.environment))]
    with tempfile.TemporaryDirectory() as out:
        done, spent = _ran([*command, "--out", out], _DEADLINE_S, PYTHONPATH=str(_PACKAGE.parent))
        if done is None or done.returncode not in (0, 1):
            why = (
                source_paths.redact(done.stderr.strip()[-300:])
                if done
                else f"no verdict in {_DEADLINE_S} s"
            )
            return {"verdict": "error", "why": why, **spent}
        steps, measured_s = _steps(Path(out))
    [variant] = json.loads(done.stdout)["variants"].values()
    gauges = {name: _short(numbers) for name, numbers in variant["gauges"].items()}
    told = {"verdict": variant["verdict"], "gauges": gauges, "steps": steps}
    return {**told, "measured_s": round(measured_s, 2), **spent}


def psleak_says(one: Work) -> dict[str, Any]:
    """Have psleak judge the step, with its defaults."""
    python = _interpreter(one.environment)
    command = [str(python), str(_PSLEAK), str(one.file)]
    done, spent = _ran(command, _PEER_DEADLINE_S, PYTHONPATH="", PYTHONMALLOC="malloc")
    if done is None or done.returncode:
        why = (
            source_paths.redact(done.stderr.strip()[-200:])
            if done
            else f"no verdict in {_PEER_DEADLINE_S} s"
        )
        return {"verdict": "inconclusive", "why": why, **spent}
    return {**json.loads(source_paths.redact(done.stdout.splitlines()[-1])), **spent}


def _why(done: subprocess.CompletedProcess[str] | None, deadline: float) -> str:
    """Return why there is no verdict: the end of the error stream, without paths."""
    if done is None:
        return f"no verdict in {deadline} s"
    return source_paths.redact(done.stderr.strip()[-300:])


TOOLS = {"resleak": resleak_says, "psleak": psleak_says}


def _ran(
    command: list[str], deadline: float, **env: str
) -> tuple[subprocess.CompletedProcess[str] | None, dict[str, float]]:
    """Run a command in a folder of its own; nothing that it leaves behind is kept."""
    began, used = time.monotonic(), cpu_s()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            done = subprocess.run(
                command, env={**os.environ, "TMPDIR": str(folder), **env}, cwd=folder,
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                check=False, timeout=deadline,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            done = None
    spent = {"seconds": time.monotonic() - began, "cpu_s": cpu_s() - used}
    return done, {name: round(value, 2) for name, value in spent.items()}


def cpu_s() -> float:
    """Return the processor time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _steps(out: Path) -> tuple[int, float]:
    """Return the most steps of a run with gauges, and the seconds that all of these runs took."""
    runs = [json.loads(file.read_text()) for file in out.rglob("gauges-*/manifest.json")]
    steps = max((run["warmup"] + run["steps"] for run in runs), default=0)
    ends = [max((phase["end_s"] or 0 for phase in run["phases"]), default=0) for run in runs]
    return steps, sum(ends)


def _short(numbers: dict[str, Any]) -> dict[str, Any]:
    """Return the stored numbers of a gauge, rounded."""
    kept = ("verdict", "per_step", "low", "high", "detection_limit", "reason")
    chosen = {name: numbers[name] for name in kept if name in numbers}
    return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in chosen.items()}


@cache
def _interpreter(name: str) -> Path:
    return environments.make(ENVIRONMENTS[name])


def _of_files(*folders: str) -> str:
    files = sorted(file for one in folders for file in (_PACKAGE / one).rglob("*.py"))
    return _digest("".join(file.read_text(encoding="utf-8") for file in files))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
