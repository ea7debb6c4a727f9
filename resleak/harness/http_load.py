"""A simple HTTP load: GET one URL repeatedly and count the responses."""

from __future__ import annotations

import threading
import time
from array import array
from typing import Any

from resleak.errors import ProcessError, missing

_TIMEOUT_S, _RETRY_S = 10.0, 0.1


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
        self._thread.join(2 * _TIMEOUT_S)

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
        with httpx.Client(timeout=_TIMEOUT_S) as client:
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    answer = client.get(self.url)
                except httpx.TransportError:  # it does not listen yet, or has ended
                    self._stop.wait(_RETRY_S)
                    continue
                self._ended = time.monotonic()
                self._latencies.append(self._ended - began)
                self.requests += 1
                self.failures += answer.status_code >= 400
