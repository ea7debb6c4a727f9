"""Memory that is live at any moment of an allocation stream, by who allocated it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from resleak.captures.decode.trie import Trie

#: Values of memray's ``AllocatorType``; a test compares them with it.
PYMALLOC_FREE, FREE, MMAP, MUNMAP = 1, 5, 14, 15
ALLOCATORS = {
    **{2: "pymalloc_malloc", 3: "pymalloc_calloc", 4: "pymalloc_realloc", 6: "malloc"},
    **{7: "realloc", 8: "calloc", 9: "posix_memalign", 10: "aligned_alloc", 11: "memalign"},
    **{12: "valloc", 13: "pvalloc", MMAP: "mmap"},
}
_FREES = frozenset({PYMALLOC_FREE, FREE})
MARKER = "_resleak_mark"
#: Deeper than any stack; given, memray hands out whole stacks whatever the thread.
_WHOLE = 1_000_000
#: Changes since the mark before, as (owner, bytes, blocks).
Changes = list[tuple[int, int, int]]
#: Who allocated: the node of a stack, a thread, a value of memray's ``AllocatorType``.
Owner = tuple[int, int, int]


class Ledger:
    """Changes since the last mark, in bytes and in blocks per owner."""

    def __init__(self) -> None:
        self.bytes: defaultdict[int, int] = defaultdict(int)
        self.blocks: defaultdict[int, int] = defaultdict(int)

    def enter(self, owner: int, size: int, blocks: int) -> None:
        """Add to the changes of an owner."""
        self.bytes[owner] += size
        self.blocks[owner] += blocks

    def take(self) -> Changes:
        """Return the changes that are not zero, and forget them."""
        blocks = self.blocks
        changes = [(n, b, blocks[n]) for n, b in self.bytes.items() if b or blocks[n]]
        self.bytes.clear()
        self.blocks.clear()
        return changes


class Maps:
    """Memory maps, which unlike blocks can be given back in parts; changes go to a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._starts: list[int] = []
        self._maps: dict[int, tuple[int, int]] = {}

    def add(self, start: int, size: int, owner: int) -> None:
        """Map a range; what was mapped there before is gone."""
        self.cut(start, size)
        self._put(start, size, owner)

    def cut(self, start: int, size: int) -> None:
        """Unmap a range, which may hold several maps or a part of one."""
        end = start + size
        low, high = bisect_left(self._starts, start), bisect_left(self._starts, end)
        before = self._starts[low - 1 : low] if low else []
        reaching = [other for other in before if other + self._maps[other][0] > start]
        for other in reaching + self._starts[low:high]:
            length, owner = self._drop(other)
            if other < start:
                self._put(other, start - other, owner)
            if other + length > end:
                self._put(end, other + length - end, owner)

    def _put(self, start: int, size: int, owner: int) -> None:
        insort(self._starts, start)
        self._maps[start] = (size, owner)
        self._ledger.enter(owner, size, 1)

    def _drop(self, start: int) -> tuple[int, int]:
        self._starts.pop(bisect_left(self._starts, start))
        size, owner = self._maps.pop(start)
        self._ledger.enter(owner, -size, -1)
        return size, owner


class Replay:
    """An allocation stream, played once; mark k maps ``page * (k + 1)`` bytes."""

    def __init__(self, trie: Trie, page: int) -> None:
        self._trie, self._page = trie, page
        self._ledger = Ledger()
        self._maps = Maps(self._ledger)
        # Blocks of the heap by address, as (size, owner). Most die before the next mark and change
        # nothing: they are entered there, if they are still live.
        self._old: dict[int, tuple[int, int]] = {}
        self._young: dict[int, tuple[int, int]] = {}
        self.owners: list[Owner] = []  # by the number that changes name
        self.threads: dict[int, str] = {}
        self._nodes: dict[int, int] = {}
        self._markers: set[int] = set()

    def marks(self, records: Iterable[Any]) -> Iterator[tuple[int, Callable[[], Changes]]]:
        """Yield each mark with a function that takes the changes since it was last called."""
        # One flat loop over local names: it turns once for each of millions of records.
        owners: dict[Owner, int] = {}
        markers, frees = self._markers, _FREES
        young, old, release_old = self._young, self._old, self._release_old
        for record in records:
            kind = record.allocator
            if kind in frees:
                address = record.address
                # In both only if a release was missed; it must not pass for a leak.
                young.pop(address, None)
                if address in old:
                    release_old(address)
                continue
            if kind == MUNMAP:
                self._maps.cut(record.address, record.size)
                continue
            stack = record.stack_id
            key = stack, record.tid, kind
            owner = owners.get(key)
            if owner is None:
                owner = owners[key] = len(self.owners)
                self.threads.setdefault(record.tid, record.thread_name)
                self.owners.append((self._node(record), record.tid, kind))
            if kind != MMAP:
                young[record.address] = record.size, owner
            elif stack not in markers:
                self._maps.add(record.address, record.size, owner)
            else:
                yield record.size // self._page - 1, self._take

    def _release_old(self, address: int) -> None:
        """Enter that a block is gone, if it was live at the last mark."""
        block = self._old.pop(address, None)
        if block is not None:
            self._ledger.enter(block[1], -block[0], -1)

    def _take(self) -> Changes:
        """Enter the young blocks, which are old from now on, and take the changes."""
        for address, (size, owner) in self._young.items():
            self._release_old(address)  # there is one only if its release was missed
            self._ledger.enter(owner, size, 1)
        self._old.update(self._young)
        self._young.clear()
        return self._ledger.take()

    def _node(self, record: Any) -> int:
        """Return the node of a record's stack; each stack is read once."""
        node = self._nodes.get(record.stack_id)
        if node is None:
            stack = record.stack_trace(_WHOLE)
            if stack and stack[0][0] == MARKER:
                self._markers.add(record.stack_id)
            node = self._nodes[record.stack_id] = self._trie.add(stack)
        return node
