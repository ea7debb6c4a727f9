"""Blocks of shared memory are closed and unlinked.

Source: luizalabs/shared-memory-dict#55 (its fix)
Environment: plain
Kind: clean
Truth: no count grows from step 6,565 to 12,000
"""

from multiprocessing import shared_memory


def step(i):
    block = shared_memory.SharedMemory(create=True, size=65_536)
    block.buf[:] = bytes(65_536)
    block.close()
    block.unlink()
