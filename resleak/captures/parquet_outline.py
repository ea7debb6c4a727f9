"""The outline of a Parquet file, read before any decoder trusts it.

Pages are allocated as their headers claim, and pyarrow has no limit for that; and its access to
the columns in a footer ends the process where a footer is damaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_MAGIC = b"PAR1"
_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Outline:
    """Size of a table in rows, columns and bytes decoded."""

    rows: int
    columns: int
    decoded_bytes: int


def outline(content: bytes) -> Outline:
    """Return what footer and page headers say, or raise ValueError for a damaged file."""
    length = int.from_bytes(content[-8:-4], "little")
    start = len(content) - 8 - length
    if content[:4] != _MAGIC or content[-4:] != _MAGIC or start < len(_MAGIC):
        raise ValueError("it is not Parquet")
    try:
        footer = _Thrift(content, start, len(content) - 8).struct()
        rows = footer[3]
        chunks = [column[3] for group in footer[4] for column in group[1]]
        decoded = sum(_decoded_bytes(content, chunk, start) for chunk in chunks)
        if any(group[3] > rows for group in footer[4]) or any(c[5] > rows for c in chunks):
            raise ValueError("its parts have more rows than the whole")
        return Outline(rows, sum(1 for leaf in footer[2] if 1 in leaf), decoded)
    except (KeyError, TypeError, IndexError, AttributeError):
        raise ValueError("its footer is not as usual") from None


def _decoded_bytes(content: bytes, chunk: dict[int, Any], end_of_pages: int) -> int:
    """Return the bytes that the pages of one column decode to."""
    if not chunk[5]:  # no values: no page is read
        return 0
    start = min(offset for offset in (chunk[9], chunk.get(11, 0)) if offset > 0)
    end = start + chunk[7]
    if not len(_MAGIC) <= start <= end <= end_of_pages:
        raise ValueError("its pages lie outside the file")
    pages, total = _Thrift(content, start, end), 0
    while pages.at < end:
        header = pages.struct()
        if min(header[2], header[3]) < 0:
            raise ValueError("a page of it has no size")
        total += header[2]
        pages.at += header[3]
    if pages.at != end:
        raise ValueError("a page of it is cut off")
    return total


class _Thrift:
    """Reads structures of Thrift's compact protocol as mappings from field to value."""

    def __init__(self, content: bytes, at: int, end: int) -> None:
        self.content, self.at, self.end = content, at, end

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Read a structure; its fields come in order, so that none comes twice."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            if not head >> 4 or depth > _DEPTH:
                raise ValueError("its footer or a page is not as usual")
            number += head >> 4
            kind = head & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (4, 5, 6):
            raw = self._varint()
            return (raw >> 1) ^ -(raw & 1)
        if kind == 8:
            return self._bytes(self._varint())
        if kind == 9:
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            return [self._value(head & 15, depth) for _ in range(count)]
        if kind == 12:
            return self.struct(depth + 1)
        if kind in (1, 2, 3, 7):
            return self._bytes(8 if kind == 7 else 1)
        raise ValueError("its footer or a page is not as usual")

    def _bytes(self, length: int) -> bytes:
        if length > self.end - self.at:
            raise ValueError("its footer or a page is cut off")
        self.at += length
        return self.content[self.at - length : self.at]

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) > 127 and shift < 63:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def _byte(self) -> int:
        if self.at >= self.end:
            raise ValueError("its footer or a page is cut off")
        self.at += 1
        return self.content[self.at - 1]
