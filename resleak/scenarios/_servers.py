"""Real local servers for scenarios: in the measured process, or in a child process of it.

Run as a script, this file is the child: a small HTTP server that ends when its standard input
closes, so that it never outlives a killed measured process.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any

App = Callable[[Any, Any, Any], Awaitable[None]]


@contextmanager
def in_child() -> Iterator[str]:
    """Serve `answer` from a child process and yield its address."""
    command = [sys.executable, "-P", __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        yield f"http://127.0.0.1:{int(child.stdout.readline())}"


@asynccontextmanager
async def in_process(app: App) -> AsyncIterator[str]:
    """Serve an ASGI app from the running event loop and yield its address."""
    with _listening() as listener:
        server = _server(app)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0)
        yield _address(listener)
        server.should_exit = True
        await serving


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer ``GET /1000`` with a thousand bytes."""
    body = b"x" * int(scope["path"].strip("/") or 0)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _listening() -> socket.socket:
    # With the protocol named: asyncio sets TCP_NODELAY on no other, and answers take 40 ms more.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    return listener


def _address(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _server(app: App) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        def capture_signals(self) -> Any:
            """Leave the signals to the measured process."""
            return nullcontext()

    quiet: dict[str, Any] = {"lifespan": "off", "log_level": "error", "timeout_keep_alive": 60}
    return Server(uvicorn.Config(app, http="h11", **quiet))


async def _serve_until_end_of_input() -> None:
    with _listening() as listener:
        server = _server(answer)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        print(listener.getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.buffer.read)
        server.should_exit = True
        await serving


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_serve_until_end_of_input())
