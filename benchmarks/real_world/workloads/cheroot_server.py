"""cheroot: a server that is stopped leaves the thread behind that would refuse connections."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any
from urllib.request import urlopen

from cheroot.wsgi import Server


def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def step(i: int) -> None:
    server = Server(("127.0.0.1", 0), app, numthreads=1)
    server.prepare()
    serving = threading.Thread(target=server.serve)
    serving.start()
    with urlopen(f"http://127.0.0.1:{server.bind_addr[1]}/") as answer:
        answer.read()
    server.stop()
    serving.join()
