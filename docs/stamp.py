"""Write into stored manifests the digest of the scenario's code that they were captured with.

    python docs/stamp.py                      # the code at the revision in each manifest
    python docs/stamp.py --now arc/pool_size  # today's code, once it was rerun

Captures have it from the start. This is for after a change of `resleak.workload.digest`, or of a
scenario's code that leaves its outcome as it was; `make test` reruns what differs.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from resleak.captures import storage
from resleak.workload import catalog
from resleak.workload.digest import digest

ROOT = Path(__file__).parent.parent
CAPTURES = ROOT / "data" / "captures"


def main() -> None:
    """Stamp all manifests, or those of the scenarios that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--now", nargs="+", metavar="NAME", choices=list(catalog.paths()))
    names = parser.parse_args().now
    with tempfile.TemporaryDirectory() as folder:
        for file in sorted(CAPTURES.rglob(storage.MANIFEST)):
            manifest = json.loads(file.read_text(encoding="utf-8"))
            name = manifest["scenario"]["name"]
            if names is None:
                root = scenarios_at(manifest["git"], Path(folder))
                stamp(file, manifest, digest(root / f"{name}.py", root))
            elif name in names:
                stamp(file, manifest, digest(catalog.paths()[name]))


@cache
def scenarios_at(revision: str, folder: Path) -> Path:
    """Return a copy of the scenarios as they were at a revision."""
    command = ["git", "-C", str(ROOT), "archive", revision, "resleak/scenarios"]
    packed = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder / revision, filter="data")
    return folder / revision / "resleak" / "scenarios"


def stamp(file: Path, manifest: dict[str, Any], value: str) -> None:
    """Write the digest after the revision, where new captures have it."""
    rest = {key: manifest[key] for key in manifest if key != "digest"}
    at = list(rest).index("git") + 1
    items = list(rest.items())
    storage.write_json(file, dict([*items[:at], ("digest", value), *items[at:]]))


if __name__ == "__main__":
    main()
