"""Two counts of requests: those of a simple HTTP load, and a counter that a service publishes."""

from __future__ import annotations

import http.client
import math
import re
import threading
import time
from array import array
from typing import Any
from urllib.parse import urlsplit

from resleak.errors import ProcessError, missing

#: Seconds to wait for a part of an answer to the load, and after none; and for one of a counter.
_LOAD_S, _RETRY_S, _TIMEOUT_S = 10.0, 0.1, 2.0
#: Seconds for a whole answer to the load, above which it has no end; and for one of a counter.
_WHOLE_S, _LATE_S = 60.0, 5.0
#: Most bytes of a counter's answer.
_BYTES = 4 << 20
#: Largest count: above, floating-point numbers miss some.
_LARGEST = 2.0**53
_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]{0,199}")
_EXAMPLE = "http://127.0.0.1:8000/metrics#http_requests_total"


class UrlLoad:
    """Requests a URL over one connection in a thread, until stopped."""

    def __init__(self, url: str) -> None:
        try:
            import httpx
        except ImportError:
            raise missing("a load on an address needs httpx", "load") from None
        try:
            scheme = httpx.URL(url).scheme
        except (httpx.InvalidURL, ValueError):
            scheme = ""
        if scheme not in ("http", "https"):
            raise ProcessError(f"{url[:60]!r} is not an address; write http://127.0.0.1:8000/path")
        self.url, self.requests, self.failures = url, 0, 0
        self._latencies = array("d")
        self._began = self._ended = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(httpx,), daemon=True)

    def __enter__(self) -> UrlLoad:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(2 * _LOAD_S)

    def count(self) -> float:
        """Return the number of responses."""
        return float(self.requests)

    @property
    def is_useless(self) -> bool:
        """True if there was no answer, or none but errors."""
        return self.failures == self.requests

    def __str__(self) -> str:
        if not self.requests:
            return f"load: no answer from {self.url}"
        latencies = sorted(self._latencies)
        half, most = (latencies[int(share * (len(latencies) - 1))] for share in (0.5, 0.95))
        rate = self.requests / max(self._ended - self._began, 1e-9)
        times = f"median {1000 * half:.3g} ms, 95 % within {1000 * most:.3g} ms"
        failed = "all" if self.is_useless else f"{self.failures:,}"
        return f"load: {self.requests:,} requests, {rate:.3g} per second, {times}, {failed} failed"

    def _work(self, httpx: Any) -> None:
        with httpx.Client(timeout=_LOAD_S) as client:
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    with client.stream("GET", self.url) as answer:
                        has_failed = answer.status_code >= 400
                        for _ in answer.iter_bytes():  # never all of it in memory
                            if self._stop.is_set():
                                return
                            if time.monotonic() - began > _WHOLE_S:
                                has_failed = True
                                break
                except httpx.DecodingError:  # an answer, if not one that can be read
                    has_failed = True
                except httpx.TransportError:  # it does not listen yet, or has ended
                    self._stop.wait(_RETRY_S)
                    continue
                self._ended = time.monotonic()
                self._latencies.append(self._ended - began)
                self.requests += 1
                self.failures += has_failed


class WorkCounter:
    """Reads ``URL#NAME``, in Prometheus' text format, in a thread; labels are added up."""

    def __init__(self, address: str, every_s: float) -> None:
        self._every_s, self._value, self.fault = every_s, math.nan, "no answer"
        try:
            url = urlsplit(address)
            secure = {"http": False, "https": True}[url.scheme]
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            self._connection = kind(url.hostname or "", url.port, timeout=_TIMEOUT_S)
            self._path = f"{url.path or '/'}{'?' if url.query else ''}{url.query}"
            is_address = bool(url.hostname and _NAME.fullmatch(url.fragment))
        except (ValueError, KeyError, http.client.InvalidURL):
            is_address = False
        if not is_address:
            raise ProcessError(f"{address[:60]!r} is not a counter; write {_EXAMPLE}")
        self.name = url.fragment
        name = re.escape(self.name).encode()
        self._lines = re.compile(
            rb"^%s(?:\{[^\n]*\})?[ \t]+([^ \t\n]{1,40})\s" % name, re.MULTILINE
        )
        self._first, self._falls = math.nan, False
        self._looked = time.monotonic()
        self._stop, self._has_looked = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> WorkCounter:
        self._thread.start()
        self._has_looked.wait(_LATE_S)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(_LATE_S)

    def count(self) -> float:
        """Return the last value; NaN if the last attempt has failed, or takes too long."""
        is_late = time.monotonic() - self._looked > self._every_s + _LATE_S
        return math.nan if self.fault or is_late else self._value

    def look(self) -> None:
        """Read the counter once; `fault` says what is wrong with the answer."""
        before = self._value
        try:
            self._connection.request("GET", self._path)
            answer = self._connection.getresponse()
            content = answer.read(_BYTES) + b"\n"
            is_whole = not answer.read(1)
            values = [float(text) for text in self._lines.findall(content)]
            self._value = sum(values) if values else math.nan
        except (OSError, ValueError, http.client.HTTPException):
            self._connection.close()
            self.fault = "no answer"
            return
        if not is_whole or answer.status != http.client.OK:
            self._connection.close()
            self.fault = f"status {answer.status}" if is_whole else "the answer is too long"
        elif not 0 <= self._value < _LARGEST:
            self.fault = "no such counter in the answer"
        elif self._value < before:
            self._falls = True
            self.fault = "it falls: the service began anew, or each worker counts for itself"
        else:
            self.fault = ""
            self._first = self._value if math.isnan(self._first) else self._first

    def __str__(self) -> str:
        if math.isnan(self._first) or self._falls:
            return f"requests: {self.name} was not used: {self.fault}"
        return f"requests: {self.name} rose by {self._value - self._first:,.0f}"

    def _work(self) -> None:
        # Only in the thread: an answer that comes byte by byte passes the timeout of its socket.
        while not self._falls:
            self.look()
            self._looked = time.monotonic()
            self._has_looked.set()
            if self._stop.wait(self._every_s):
                break
        self._connection.close()
