"""Results of the built-in HTTP load."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from resleak.harness.http_load import UrlLoad


@contextmanager
def serving(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(("status", "failed"), [(200, "0 failed"), (503, "all failed")])
def test_answers_are_counted_and_timed(status: int, failed: str) -> None:
    """The sentence has the number of requests, their rate and latency, and any errors."""
    with serving(status) as url, UrlLoad(url) as load:
        while load.requests < 3:
            time.sleep(0.01)
    assert str(load).startswith(f"load: {load.requests:,} requests, ")
    assert str(load).endswith(failed)
    assert "median" in str(load)
    assert load.is_useless == (status == 503)


def test_a_load_without_an_answer_says_so() -> None:
    """Nothing listens there: that is the result of the load."""
    with UrlLoad("http://127.0.0.1:9/") as load:
        time.sleep(0.05)
    assert load.is_useless
    assert str(load) == "load: no answer from http://127.0.0.1:9/"
