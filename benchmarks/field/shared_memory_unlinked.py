"""Blocks of shared memory are closed and unlinked.

Source: luizalabs/shared-memory-dict#55 (its fix)
Environment: plain
Kind: clean
Truth: TODO
"""

from multiprocessing import shared_memory


def step(i):
    block = shared_memory.SharedMemory(create=True, size=65_536)
    block.buf[:] = bytes(65_536)
    block.close()
    block.unlink()
