"""Call user functions: sync or async, generator or not, with as many arguments as they take."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

from resleak.errors import ScenarioError

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def fitted(function: Callable[..., Any], offered: int, *, defaults: bool = True) -> Any:
    """Return a function that may be called with more arguments than the original takes."""
    count = min(1, offered)  # written in C, it may have no signature
    with suppress(TypeError, ValueError):
        parameters = list(inspect.signature(function).parameters.values())
        named = [p for p in parameters if p.kind in _POSITIONAL]
        needed = [p.name for p in named if p.default is p.empty]
        count = min(len(named if defaults else needed), offered)
        if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
            count = offered
        elif len(needed) > offered:
            call = f"{getattr(function, '__name__', 'it')}({', '.join(needed)})"
            raise ScenarioError(f"{call} needs {len(needed)} arguments, and gets {offered} at most")
    return function if count == offered else lambda *given: function(*given[:count])


def is_async(function: object) -> bool:
    """Return True if a function needs an event loop."""
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def refuse_generator(function: object, name: str) -> None:
    """Raise ScenarioError for a function that a call does not run."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        message = f"{name} has a yield, so a call runs nothing of it; write a plain function"
        raise ScenarioError(message)


async def entered(stack: AsyncExitStack, setup: Callable[..., Any], *given: object) -> Any:
    """Run a set-up and return its fixture; a generator continues when `stack` closes."""
    call = fitted(setup, len(given))
    if inspect.isasyncgenfunction(setup):
        return await stack.enter_async_context(asynccontextmanager(call)(*given))
    if inspect.isgeneratorfunction(setup):
        return stack.enter_context(contextmanager(call)(*given))
    return await result(call(*given))


async def result(value: Any) -> Any:
    """Return a value, awaited if it is awaitable."""
    return await value if inspect.isawaitable(value) else value
