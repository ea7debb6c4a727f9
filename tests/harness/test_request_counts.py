"""The built-in HTTP load, and a counter of requests from a page that anyone may have written."""

from __future__ import annotations

import math
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from resleak.errors import ProcessError
from resleak.harness import request_counts
from resleak.harness.request_counts import UrlLoad, WorkCounter

PAGE = b"""# HELP served_total Requests.
# TYPE served_total counter
served_total{method="GET",path="/a b"} 40
served_total{method="POST"} 2.0 1700000000
served_total_created 9e9
other_served_total 7
"""


@contextmanager
def counter(*pages: bytes, status: int = 200) -> Iterator[WorkCounter]:
    """Yield a counter of a service that answers with each page in turn; the first was read."""
    left = list(pages)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            page = left.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with WorkCounter(f"http://127.0.0.1:{server.server_port}/#served_total", 60.0) as one:
            yield one
        server.shutdown()


def test_labels_are_added_up() -> None:
    """The sum is over the labels of this name, and of no other one."""
    with counter(PAGE) as one:
        assert one.count() == 42


def test_the_rise_is_told() -> None:
    """The sentence has the requests since the first look."""
    with counter(PAGE, PAGE.replace(b" 40", b" 1240")) as one:
        one.look()
        assert str(one) == "requests: served_total rose by 1,200"


@pytest.mark.parametrize(
    ("page", "status", "fault"),
    [
        (PAGE, 404, "status 404"),
        (b"x" * (4 << 20) + PAGE, 200, "too long"),
        (b"served_total nan\n", 200, "no such counter"),
        (b"served_total -1\n", 200, "no such counter"),
        (b"served_total inf\n", 200, "no such counter"),
        (b"served_total " + b"9" * 5000, 200, "no such counter"),
        (b"\xff\x00<html>", 200, "no such counter"),
    ],
)
def test_other_answers_are_no_count(page: bytes, status: int, fault: str) -> None:
    """An answer that is not a number of requests is left out, and the summary says why."""
    with counter(page, status=status) as one:
        assert math.isnan(one.count())
        assert fault in str(one)


def test_a_counter_that_falls_is_no_longer_used() -> None:
    """Workers that count for themselves answer in turn: their numbers are no sum."""
    with counter(PAGE, PAGE.replace(b" 40", b" 4"), PAGE) as one:
        one.look()
        assert math.isnan(one.count())
        assert "each worker counts for itself" in str(one)


def test_silence_is_no_count() -> None:
    """Nothing listens there."""
    one = WorkCounter("http://127.0.0.1:9/metrics#served_total", 1.0)
    one.look()
    assert math.isnan(one.count())
    assert str(one) == "requests: served_total was not used: no answer"


@pytest.mark.parametrize(
    "address",
    ["", "x", "http://a/metrics", "ftp://a/#n", "http://#n", "http://a:x/#n", "http://[::1#n",
     "http://a/#a{b}", "file:///etc/passwd#n", "http://a b/#n\n"],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    """One line says how to write it."""
    with pytest.raises(ProcessError, match=r"is not a counter; write http://127\.0\.0\.1"):
        WorkCounter(address, 1.0)


@contextmanager
def serving(status: int, encoding: str = "identity") -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Encoding", encoding)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"text")

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


def test_an_answer_that_cannot_be_decoded_has_failed() -> None:
    """The load goes on after an answer whose content is not of the encoding it names."""
    with serving(200, "gzip") as url, UrlLoad(url) as load:
        until = time.monotonic() + 30
        while load.requests < 3 and time.monotonic() < until:
            time.sleep(0.01)
    assert load.requests >= 3
    assert load.is_useless


def test_a_load_without_an_answer_says_so() -> None:
    """Nothing listens there: that is the result of the load."""
    with UrlLoad("http://127.0.0.1:9/") as load:
        time.sleep(0.05)
    assert load.is_useless
    assert str(load) == "load: no answer from http://127.0.0.1:9/"


@contextmanager
def endless(piece: bytes, pause_s: float, sent: list[int] | None = None) -> Iterator[str]:
    """Yield the address of a service whose answer goes on until the test is over."""
    is_over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while not is_over.wait(pause_s):
                    self.wfile.write(piece)
                    if sent is not None:
                        sent.append(len(piece))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        is_over.set()
        server.shutdown()


def test_a_counter_that_comes_byte_by_byte_is_no_answer() -> None:
    """Each byte is in time, their end never comes, and nobody waits for it."""
    with endless(b"#", 0.05) as url, WorkCounter(f"{url}#served_total", 60.0) as one:
        assert math.isnan(one.count())
        assert str(one) == "requests: served_total was not used: no answer"


def test_a_load_keeps_no_part_of_an_endless_answer() -> None:
    """An answer without end takes no memory, and the load stops when it is asked to."""
    mebi, sent = 1 << 20, []
    with endless(bytes(mebi), 0.0, sent) as url, UrlLoad(url) as load:
        until = time.monotonic() + 60
        tracemalloc.start()
        while len(sent) < 200 and time.monotonic() < until:
            time.sleep(0.01)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(sent) >= 200
    assert peak < 50 * mebi
    assert not load._thread.is_alive()
    assert load.requests == 0


def test_an_answer_without_an_end_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that goes on for longer than an answer may take counts as a failed request."""
    monkeypatch.setattr(request_counts, "_WHOLE_S", 0.1)
    with endless(b"x", 0.01) as url, UrlLoad(url) as load:
        until = time.monotonic() + 60
        while load.requests < 2 and time.monotonic() < until:
            time.sleep(0.01)
    assert load.requests >= 2
    assert load.is_useless
