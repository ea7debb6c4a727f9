"""A service that answers with reports; a report that is not sent whole can be asked for again."""

from __future__ import annotations

import tempfile
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

#: Reports that were rendered, so that a broken download can be resumed.
pending: list[Any] = []


def render(rows: int) -> Any:
    """Write the rows into a temporary file and return it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (it is answered with, and closed later)
    file.write(b"".join(b"%08d\n" % row for row in range(rows)))
    return file


async def report(request: Request) -> PlainTextResponse:
    """Answer with a report."""
    file = render(int(request.query_params.get("rows", 100)))
    pending.append(file)
    file.seek(0)
    return PlainTextResponse(file.read())


app = Starlette(routes=[Route("/report", report)])


def setup() -> Any:
    """Return a client of the service, without a network in between."""
    from starlette.testclient import TestClient

    return TestClient(app)


def step(_number: int, client: Any) -> None:
    """Ask for one report."""
    assert client.get("/report").status_code == 200
