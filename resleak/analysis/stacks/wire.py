"""Protocol Buffers' wire format, of which a profile needs whole numbers and lengths only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Strings:
    """The table of strings of a pprof file, whose first is empty."""

    def __init__(self) -> None:
        self._places = {"": 0}

    def __getitem__(self, text: str) -> int:
        """Return the place of a text, which is entered if it is new."""
        return self._places.setdefault(text, len(self._places))

    @property
    def texts(self) -> Iterable[str]:
        """All of them, in order."""
        return self._places


def _varint(value: int) -> bytes:
    return bytes(_septets(value & (1 << 64) - 1))


def _septets(value: int) -> Iterator[int]:
    while value > 127:
        yield value & 127 | 128
        value >>= 7
    yield value


def number(field: int, value: int) -> bytes:
    """Return a field that is a whole number; a negative one as its 64 bits."""
    return _varint(field << 3) + _varint(value)


def message(field: int, content: bytes) -> bytes:
    """Return a field that is a message, a text, or bytes."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def packed(field: int, values: Iterable[int]) -> bytes:
    """Return a field that is a list of whole numbers."""
    return message(field, b"".join(map(_varint, values)))


def pair(first: int, second: int) -> bytes:
    """Return a message of two whole numbers, its fields 1 and 2."""
    return number(1, first) + number(2, second)
