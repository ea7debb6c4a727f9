"""Run the Node checks that stand beside the scenarios, and store what they count."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path

from resleak.captures import files, node_results
from resleak.captures.locks import temporary_folder
from resleak.captures.node_results import NodeResult
from resleak.errors import CaptureError, PlatformError
from resleak.harness import spawn
from resleak.harness.plan import Progress
from resleak.workload import catalog

#: Seconds for one check; the checks themselves give up after 50.
_DEADLINE_S = 60.0


def paths() -> dict[str, Path]:
    """Return the checks beside the scenarios, by the scenario's name."""
    files = sorted(catalog.ROOT.glob("[!_]*/[!_]*.mjs"))
    return {f"{path.parent.name}/{path.stem}": path for path in files}


def run(path: Path) -> NodeResult:
    """Run one check in a process of its own and return its counts.

    CaptureError if it fails or takes too long, StoreError if it prints anything but its result.
    """
    if (node := shutil.which("node")) is None:
        message = "there is no `node` on the PATH; install Node 20 or read the stored results"
        raise PlatformError(message)
    flags = ["--expose-gc", "--max-old-space-size=512"]  # MiB
    with temporary_folder() as folder:
        output = folder / "output.txt"
        # Nothing else of our environment: NODE_OPTIONS would change what is measured.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": str(folder)}
        code = spawn.run_to_end([node, *flags, str(path)], environment, _DEADLINE_S, output)
        lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    if code:
        reason = lines[-1] if lines else "it printed nothing"
        raise CaptureError(f"{path.name} {spawn.how_it_ended(code)}: {reason[:200]}")
    # Warnings of Node share the output; the result is the line that is an object.
    result = next((line for line in reversed(lines) if line.startswith("{")), "")
    return node_results.parse(result, path.name)


def run_all(out: Path, progress: Progress = lambda *_: None) -> None:
    """Run all checks, and store each result in its scenario's folder below `out`.

    `progress` is called before each with its name, how many are done, and how many there are.
    """
    checks = paths()
    for done, (name, path) in enumerate(checks.items()):
        progress(name, done, len(checks))
        result = run(path)
        files.write_json(out / name / node_results.NAME, asdict(result))
