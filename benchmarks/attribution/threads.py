"""Threads that wait for an event that nobody sets."""

import threading

from _beside import beside

event = threading.Event()


def leak(step, size):
    threading.Thread(target=event.wait, args=(None,), name="x" * size, daemon=True).start()  # leak


scenario = beside(leak, natural=6000)
