"""Other tools that need their own process, on the same work: psleak, pytest-memray, Scalene.

    uv venv build/peers
    VIRTUAL_ENV=build/peers uv pip install psleak scalene pytest pytest-memray duckdb

They have their own environment. Without it they are left out, and the table says so. Each sees a
workload once, with its defaults, on part of the corpus.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _corpus as corpus

PYTHON = corpus.KEPT.parent / "peers" / "bin" / "python"
RESULTS = corpus.HERE / "results" / "accuracy_peers.jsonl"
_RUN = corpus.HERE / "_peer_run.py"
_TIMEOUT_S = 60


def run(one: corpus.Workload) -> None:
    """Have every tool judge the variants of a workload that it has not judged yet."""
    have = {(row["workload"], row["variant"], row["tool"], row["code"]) for row in rows()}
    for variant in one.scenario.variants if PYTHON.exists() else ():
        for tool, ask in PEERS.items():
            told = {"workload": one.name, "variant": variant, "tool": tool, "code": one.code}
            if tuple(told.values()) in have:
                continue
            found = {**told, "half": one.half, "beyond": one.beyond, "leaks": variant == "leaky"}
            _append({**found, "look": 240, "gauges": {}, **_asked(ask, one, variant)})


def rows() -> Iterator[dict[str, Any]]:
    """Yield the tools' verdicts on current workloads."""
    current = {(one.name, one.code) for one in corpus.workloads()}
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    for row in map(json.loads, lines):
        if (row["workload"], row["code"]) in current:
            yield row


def _asked(ask: Any, one: corpus.Workload, variant: str) -> dict[str, Any]:
    params = {**one.scenario.variants[variant].params, **one.params}
    what = [str(one.file), variant, "1", json.dumps(params)]
    try:
        found: dict[str, Any] = ask(what)
    except subprocess.TimeoutExpired:
        return {"verdict": "inconclusive", "why": f"no verdict in {_TIMEOUT_S} s"}
    return found


def _psleak(what: list[str]) -> dict[str, Any]:
    done = _ran([str(PYTHON), str(_RUN), "psleak", *what], PYTHONMALLOC="malloc")
    if done.returncode:
        return {"verdict": "inconclusive", "why": done.stderr.strip().splitlines()[-1][:200]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _memray(what: list[str]) -> dict[str, Any]:
    """Apply `limit_leaks`: a stack with more than 1 MB at the end fails the test."""
    command = [str(PYTHON), "-m", "pytest", "-q", "--memray", "-p", "no:cacheprovider", str(_RUN)]
    done = _ran(command, WORKLOAD=json.dumps(what))
    return {"verdict": "leak" if "was allowed to leak" in done.stdout else "flat"}


def _scalene(what: list[str]) -> dict[str, Any]:
    """Return ``leak`` if Scalene reports any line as one."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "profile.json")
        command = [str(PYTHON), "-m", "scalene", "run", "-o", str(profile), str(_RUN), "---"]
        _ran([*command, "steps", *what])
        if not profile.exists():
            return {"verdict": "inconclusive", "why": "no profile"}
        files = json.loads(profile.read_text() or "{}").get("files", {}).values()
    return {"verdict": "leak" if any(file["leaks"] for file in files) else "flat"}


def _ran(command: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": "", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
        cwd=corpus.HERE,
    )


def _append(row: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(row) + "\n")


PEERS = {"psleak": _psleak, "pytest-memray limit_leaks": _memray, "Scalene": _scalene}
