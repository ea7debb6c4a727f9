"""Advice on a cause, by its kind and its case."""

from __future__ import annotations

import re

from resleak.analysis.causes import model
from resleak.analysis.causes.model import Advice

#: Links of a chain from its root among which the owner's name stands.
_NEAR = 2
#: Code and text for each kind; {owner} is what keeps the retained objects.
_BY_KIND = {
    model.FILES: ("close", "Close it on every path, best in a with block{or_remove}."),
    model.SOCKETS: ("close", "Close it on every path, best in a with block{or_remove}."),
    model.THREADS: ("stop_and_join", "Tell the thread to stop, and join it{or_remove}."),
    model.TASKS: ("cancel_and_await", "Await the task, or cancel it and await it."),
    model.CHILDREN: ("end_and_wait", "End the process, and wait for it."),
    model.ZOMBIES: ("wait", "Call wait() or communicate(): the process has ended already."),
    model.MAPS: ("unmap", "Close the map, or use the same one again{or_remove}."),
    model.SHM: ("unlink", "Call unlink() where the segment is no longer needed."),
    model.TEMPORARY: ("delete", "Delete it, or use it in a with block."),
    model.NATIVE: ("free", "Free what the native call allocates, or close what it belongs to."),
    model.CYCLES: ("break_cycle", "Break the cycle, or close explicitly what hangs on it."),
    model.OWN: ("bound", "Bound what the program counts, or remove entries no longer needed."),
}
#: Chains and lines that tell a case, with its code and its text.
_CASES = (
    (
        "_lru_cache_wrapper",
        "bound_cache",
        "Give the cache a maxsize; on a method it keeps every instance, so cache per instance.",
    ),
    (
        r"_pylab_helpers|plt\.(figure|subplots)",
        "close_figure",
        "Call plt.close(figure) when a figure is done.",
    ),
    (
        r"logging\.\w*[hH]andler|addHandler",
        "remove_handler",
        "Add the handler once, or remove it with removeHandler().",
    ),
    (r"atexit\.register", "unregister", "Register the callback once, or unregister it."),
)


def of(kind: str, chain: str, source: str = "") -> Advice:
    """Return what to change, by what keeps the objects and the line that makes them."""
    names = (token.removeprefix("class ") for token in chain.split(" → ")[:_NEAR])
    named = next((name for name in names if "." in name and " " not in name), "")
    for case, code, text in _CASES:
        if kind != model.CYCLES and (re.search(case, chain) or re.search(case, source)):
            return Advice(code, text)
    if kind in _BY_KIND:
        code, text = _BY_KIND[kind]
        return Advice(code, text.format(or_remove=f", or remove it from {named}" if named else ""))
    if named:
        return Advice("bound", f"Bound {named}, or delete entries that are no longer needed.")
    return Advice("release", "Find the path on which it is not released.")
