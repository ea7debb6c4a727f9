"""msgspec: the payload of each extension object that is decoded is never released, in C."""

from __future__ import annotations

import msgspec

MESSAGE = msgspec.msgpack.encode(msgspec.msgpack.Ext(5, bytes(1000)))


def step(i: int) -> None:
    msgspec.msgpack.decode(MESSAGE)
