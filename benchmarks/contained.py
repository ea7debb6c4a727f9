"""Capture scenarios without a network except loopback, and list every file they leave elsewhere.

    python benchmarks/contained.py                  # all of them, gauges and stacks
    python benchmarks/contained.py arc/auth_cache --out build/captures

The captures run in their own network namespace (util-linux's `unshare`, Linux) with only the
loopback interface, so that a scenario that needs anything else fails. The files of the home folder,
of this repository and of the temporary folders are compared before and after. Prints failures,
leftover files and durations.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from resleak.errors import ResleakError
from resleak.workload import catalog

ROOT = Path(__file__).resolve().parent.parent
LOOKED_AT = (Path.home(), ROOT, Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/dev/shm"))
#: Folders that other programs write to meanwhile, or that hold bytecode.
IGNORED = {"__pycache__", ".git", "proc", ".venv", "node_modules"}
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def main() -> int:
    """Capture the scenarios on the command line, and return the number of problems."""
    options = _options()
    if options.inside:
        return _inside(options.names, options.out)
    with tempfile.TemporaryDirectory(prefix="contained-") as scratch:
        out = str(Path(options.out or scratch).resolve())
        before, began = _files(Path(out)), time.monotonic()
        command = ["unshare", "--net", sys.executable, __file__, "--inside", "--out", out]
        failed = subprocess.run([*command, *options.names], check=False).returncode
        took, left = time.monotonic() - began, _files(Path(out)) - before
        size = sum(path.stat().st_size for path in Path(out).rglob("*") if path.is_file())
    for path, _ in sorted(left):
        print(f"left: {path}")
    print(f"{failed} failed, {len(left)} files left, {took / 60:.1f} min, {size / 1e6:.1f} MB")
    return failed + len(left)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="scenarios; all by default")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", help="keep the captures here")
    return parser.parse_args()


def _inside(names: list[str], out: str) -> int:
    from resleak.harness.runner import capture

    _raise_loopback()
    if _reaches_outside():
        raise SystemExit("this network namespace is not closed")
    failed = 0
    for name in names or list(catalog.paths()):
        began = time.monotonic()
        try:
            capture(name, out=out)
            told = "captured"
        except ResleakError as error:
            told, failed = f"FAILED: {error}", failed + 1
        print(f"{name}: {told} in {time.monotonic() - began:.1f} s", flush=True)
    return failed


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sh14x", b"lo", 0)
        name, flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, asked))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | IFF_UP))


def _reaches_outside() -> bool:
    """Return True if there is a route to an address that is reserved for documentation."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            any_socket.connect(("192.0.2.1", 9))
        except OSError:
            return False
        return True


def _files(out: Path) -> set[tuple[str, int]]:
    """Return all files with their modification times."""
    found = set()
    for path in _walk(out):
        try:
            found.add((path, os.lstat(path).st_mtime_ns))
        except OSError:  # gone in the meantime
            continue
    return found


def _walk(out: Path) -> Iterator[str]:
    for top in dict.fromkeys(LOOKED_AT):
        for folder, folders, files in os.walk(top):
            folders[:] = [f for f in folders if f not in IGNORED and Path(folder, f) != out]
            yield from (os.path.join(folder, name) for name in files)


if __name__ == "__main__":
    sys.exit(main())
