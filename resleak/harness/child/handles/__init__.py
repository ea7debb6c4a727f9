"""Where a measured process creates what it does not give back: descriptors, threads, children.

Runs in the measured process, with the standard library alone. `calls` turns stacks into numbers;
`work` follows them across threads and tasks;
`wraps` notes with `binder` what calls create; `kernel` is what the system says; `descriptors` binds
the two, and `census` writes down what is new and what is gone.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from resleak.captures.raw import HANDLES, PHASES
from resleak.harness.child.handles import origins, patches
from resleak.harness.child.handles.attribution import Binder
from resleak.harness.child.handles.call_stacks import Calls
from resleak.harness.child.handles.census import Census, Log


def start(folder: Path, outer: str) -> Census:
    """Begin to follow what this process creates; there is no end to it.

    Parameters
    ----------
    folder : Path
        Where the census is written.
    outer : str
        The file whose frames, and all above them, are no part of the studied code.

    Returns
    -------
    Census
    """
    calls = Calls([outer], origins.ENTRIES)
    log = Log(folder / HANDLES)
    binder = Binder(calls, log.number)
    patches.install(binder)
    census = Census(binder, log)
    nothing = {"at": [0, 0], "nodes": [], "opened": [], "closed": []}
    log.write({**nothing, "main": threading.get_ident(), "phases": PHASES})
    os.register_at_fork(after_in_child=lambda: setattr(binder, "on", False))
    binder.on = True
    return census
