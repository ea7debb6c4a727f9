"""Record where a measured process creates descriptors, threads, children and other resources.

Runs in the measured process, with the standard library alone: `patches` notes the calls that
create, `attribution` their results, `call_stacks` their stacks; `procfs` lists what
is open, `descriptors` matches the two, and `census` writes down what is new and what is closed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from resleak.captures.raw import HANDLES, PHASES
from resleak.harness.child.handles import patches
from resleak.harness.child.handles.attribution import Binder
from resleak.harness.child.handles.call_stacks import ENTRIES, Calls
from resleak.harness.child.handles.census import Census, Log


def start(folder: Path, outer: Iterable[str]) -> Census:
    """Start to record what this process creates; it never ends."""
    calls = Calls(outer, ENTRIES)
    log = Log(folder / HANDLES)
    binder = Binder(calls, log.number)
    patches.install(binder)
    census = Census(binder, log)
    nothing = {"at": [0, 0], "nodes": [], "opened": [], "closed": []}
    log.write({**nothing, "main": threading.get_ident(), "phases": PHASES})
    os.register_at_fork(after_in_child=lambda: setattr(binder, "on", False))
    binder.on = True
    return census
