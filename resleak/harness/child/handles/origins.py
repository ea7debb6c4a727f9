"""Where work was submitted: stacks of threads and event loops continue at the submitting call."""

from __future__ import annotations

import asyncio.events
import threading
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any

from resleak.harness.child.handles.call_stacks import UNKNOWN, nowhere

_given_by_thread: dict[int, int] = {}
#: Follows tasks and callbacks, which run in the context of their scheduler.
_given: ContextVar[int] = ContextVar("resleak_given", default=UNKNOWN)


class Work:
    """A function for a thread of a pool."""

    __slots__ = ("_function", "_node")

    def __init__(self, function: Callable[..., Any], node: int) -> None:
        self._function, self._node = function, node

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        me = threading.get_ident()
        before = _given_by_thread.get(me, UNKNOWN)
        _given_by_thread[me] = self._node
        try:
            return self._function(*args, **kwargs)
        finally:
            if before == UNKNOWN:
                del _given_by_thread[me]
            else:
                _given_by_thread[me] = before


def context_below(node: int) -> Context:
    """Return a copy of the current context for a task created by this stack."""
    context = copy_context()
    context.run(_given.set, node)
    return context


#: Code of the libraries' own machinery, and where the stack above it continues.
ENTRIES = {
    Work.__call__.__code__: lambda: _given_by_thread.get(threading.get_ident(), UNKNOWN),
    asyncio.events.Handle._run.__code__: _given.get,
    threading.Thread._bootstrap_inner.__code__: nowhere,  # type: ignore[attr-defined]
}
