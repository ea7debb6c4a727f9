"""A limit that is checked after decompression comes too late: the memory is already used.

An endpoint accepts MessagePack in zstd, at most 4 MiB once decompressed (the document proposes 100
MB). Each step sends a valid request of 1 kB, and a bomb of up to 2 kB that decompresses to 8, 16,
32 or 64 MiB of zeros.

- `leaky` decompresses everything. The peak of a step is twice the size of the content, 135 MB for 2
  kB: the pieces and the whole, then the whole and the message built from it.
- `proposed_checked_after`: a reading of "add a `max_decompressed_size` check" to avoid. The bomb is
  refused, at a peak of 134 MB: joining the pieces takes as much as the message would.
- `fixed`, such a check as it is meant: decompress as a stream, and read one byte more than is
  allowed. The peak is 4.2 MB, whatever the bomb's size.

At 100 MB a bomb of 3 kB is enough, and 1 MB of empty maps becomes 73 MB of objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario, Sweep

MIB = 2**20
scenario = Scenario(
    seed="003#10",
    claim="compressed payloads of any decompressed size are accepted: denial of service",
    condition="a compressed body that is not trusted, and a limit of 4 MiB (100 MB in the "
    "document); a check after decompression comes too late",
    language="Python",
    symptoms={"step_peak": "scales, broken"},
    outcome="reproduced",
    fix="holds",
    control="fds",
    limits=[Limit("step_peak", at_most=16 * MIB, source="four times the largest content")],
    sweeps=[Sweep("step_peak", "unpacked", floor=MIB, source="a bounded request")],
    steps=16,
    warmup=4,
    block=1,
    params={"max_size": 4 * MIB, "sizes": (8 * MIB, 16 * MIB, 32 * MIB, 64 * MIB)},
    requires=("msgpack", "zstandard"),
    extra="arc",
    stacks=False,
)


class TooLargeError(Exception):
    """The content is larger than allowed."""


class Api:
    """Decodes request bodies."""

    def __init__(self, run: Run) -> None:
        import msgpack
        import zstandard

        self.params, self.unpacked, self.unpack = run.params, 0, msgpack.unpackb
        self.stream = zstandard.ZstdDecompressor().stream_reader
        zstd, good = zstandard.ZstdCompressor, {"m": "cpu", "value": b"\0" * 1000}
        self.good = zstd().compress(msgpack.packb(good))
        self.bombs = [_bomb(zstd().compressobj(), size) for size in run.params.sizes]

    def serve(self, step: int, decode: Callable[[bytes], Any]) -> None:
        """Take a good request and a bomb."""
        assert decode(self.good)["m"] == "cpu"
        number = step % len(self.bombs)
        self.unpacked = self.params.sizes[number]
        with suppress(TooLargeError):
            decode(self.bombs[number])


def _bomb(compressor: Any, size: int) -> bytes:
    """Compress a message of that many zeros piece by piece, so that it never exists as a whole."""
    head = b"\x81\xa5value\xc6" + size.to_bytes(4, "big")  # a map of one, its key, bytes
    pieces = [compressor.compress(head)]
    pieces += [compressor.compress(b"\0" * MIB) for _ in range(size // MIB)]
    return b"".join([*pieces, compressor.flush()])


@scenario.setup
def api(run: Run) -> Iterator[Api]:
    yield Api(run)


@scenario.gauge("B", kind="measure")
def unpacked(api: Api) -> float:
    """Decompressed size of the step's bomb in bytes."""
    return api.unpacked


@scenario.variant(expect={"step_peak": "scales, broken"}, origin="document words")
def leaky(step: int, api: Api) -> None:
    """Decompress and decode everything."""

    def decode(body: bytes) -> Any:
        return api.unpack(api.stream(body).read())

    api.serve(step, decode)


@scenario.variant(expect={"step_peak": "scales, broken"})
def proposed_checked_after(step: int, api: Api) -> None:
    """Decompress everything, then check its size."""

    def decode(body: bytes) -> Any:
        content = api.stream(body).read()
        if len(content) > api.params.max_size:
            raise TooLargeError
        return api.unpack(content)

    api.serve(step, decode)


@scenario.variant(origin="document words")
def fixed(step: int, api: Api) -> None:
    """Decompress at most one byte more than is allowed."""

    def decode(body: bytes) -> Any:
        content = api.stream(body).read(api.params.max_size + 1)
        if len(content) > api.params.max_size:
            raise TooLargeError
        return api.unpack(content)

    api.serve(step, decode)
