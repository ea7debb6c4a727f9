"""A web handler, called in this process: `resleak investigate leak_web.py`.

A step is one request. No server and no network are needed: a test client calls the application.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults

Environ = dict[str, Any]
seen: list[str] = []


# Replace this application by yours: from app import application
# For Flask: client = app.test_client() in setup(), client.get("/orders/1") in step().
# For Starlette, FastAPI: httpx.AsyncClient(transport=httpx.ASGITransport(app)), with async step().
def application(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request; it leaks on purpose, so that you see a verdict."""
    seen.append(environ["PATH_INFO"] * 20)  # the leak: every path is kept
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def setup() -> Iterator[Environ]:
    """Run once before the steps; what follows `yield` runs once after them."""
    environ: Environ = {"REQUEST_METHOD": "GET"}
    setup_testing_defaults(environ)
    yield environ
    # Close clients, pools and connections here.


def step(number: int, environ: Environ) -> None:
    """Do one request, and read all of the answer; different numbers make different requests."""
    request = {**environ, "PATH_INFO": f"/orders/{number}"}
    answer = application(request, lambda status, headers: None)
    assert b"".join(answer) == b"hello"  # a wrong answer ends the run, rather than being measured
