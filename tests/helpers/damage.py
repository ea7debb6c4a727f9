"""Files that are no captures, or were ones once."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Iterator
from pathlib import Path

_LZ4 = b"\x04\x22\x4d\x18"


def damaged(
    folder: Path, raw: Path, packed: Path, count: int, seed: int = 0
) -> Iterator[tuple[str, Path]]:
    """Make files to open, `count` of them, and yield each with what was done to it.

    A few are no captures at all; of the others half are cut off, half have bytes flipped, and
    half of each are of a capture that was packed.
    """
    made = [*_no_captures(folder, raw)]
    yield from made
    for number in range(count - len(made)):
        whole = (raw if number % 2 else packed).read_bytes()
        path = folder / f"{number}.bin"
        if number // 2 % 2:
            cut = int(len(whole) * (number + 0.5) / count)
            path.write_bytes(whole[:cut])
            yield f"cut at {cut}", path
        else:
            path.write_bytes(_flipped(whole, seed + number))
            yield "flipped", path


def _flipped(whole: bytes, seed: int) -> bytes:
    """Flip one to eight bytes, every other time within the first tenth."""
    rng, flipped = random.Random(seed), bytearray(whole)
    reach = len(whole) // 10 if seed // 4 % 2 else len(whole)
    for _ in range(rng.randint(1, 8)):
        flipped[rng.randrange(reach)] ^= rng.randrange(1, 256)
    return bytes(flipped)


def _no_captures(folder: Path, raw: Path) -> Iterator[tuple[str, Path]]:
    content = raw.read_bytes()
    files = {
        "empty": b"",
        "text": b"a note, and no capture\n" * 20,
        "zeros": bytes(4096),
        "gz": gzip.compress(content),
        "old": content[:7] + (11).to_bytes(4, "little") + content[11:],
        "new": content[:7] + (99).to_bytes(4, "little") + content[11:],
        "header": content[:40],
        "lz4": _LZ4 + bytes(60),
    }
    for name, data in files.items():
        path = folder / f"{name}.bin"
        path.write_bytes(data)
        yield name, path
    (folder / "folder.bin").mkdir()
    yield "folder", folder / "folder.bin"
    os.mkfifo(folder / "fifo.bin")
    yield "fifo", folder / "fifo.bin"
    yield "missing", folder / "missing.bin"
    (folder / "dangling.bin").symlink_to(folder / "nowhere")
    yield "dangling", folder / "dangling.bin"
    secret = folder / "secret.bin"
    secret.write_bytes(content)
    secret.chmod(0)
    yield "no permission", secret
