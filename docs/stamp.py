"""Write into stored manifests the digest of the scenario's code that they were captured with.

    python docs/stamp.py                      # the code at the revision in each manifest
    python docs/stamp.py --now arc/pool_size  # today's code, once it was rerun

Captures have it from the start. This is for after a change of `resleak.workload.digest`, or of a
scenario's code that leaves its outcome as it was; `make test` reruns what differs.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import tarfile
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from resleak.captures import pack, storage
from resleak.captures.manifest import Manifest
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

        def stamped(manifest: Manifest) -> Manifest:
            name = manifest.scenario.name
            if names is None:
                root = scenarios_at(manifest.git, Path(folder))
                return replace(manifest, digest=digest(root / f"{name}.py", root))
            return replace(manifest, digest=digest(catalog.paths()[name]))

        for place in storage.places(CAPTURES):
            if names is None or place.parent.relative_to(CAPTURES).as_posix() in names:
                pack.write(place, storage.unpacked(place), stamped)


@cache
def scenarios_at(revision: str, folder: Path) -> Path:
    """Return a copy of the scenarios as they were at a revision."""
    command = ["git", "-C", str(ROOT), "archive", revision, "resleak/scenarios"]
    packed = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder / revision, filter="data")
    return folder / revision / "resleak" / "scenarios"


if __name__ == "__main__":
    main()
