"""A simple HTTP load: GET one URL repeatedly and count the responses."""

from __future__ import annotations

import threading
from typing import Any

from resleak.errors import MissingPackageError, ProcessError

_TIMEOUT_S, _RETRY_S = 10.0, 0.1


class UrlLoad:
    """Requests a URL over one connection in a thread, until stopped."""

    def __init__(self, url: str) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingPackageError(
                "a load on an address needs httpx: pip install 'resleak[load]'"
            ) from None
        try:
            scheme = httpx.URL(url).scheme
        except (httpx.InvalidURL, ValueError):
            scheme = ""
        if scheme not in ("http", "https"):
            raise ProcessError(f"{url[:60]!r} is not an address; write http://127.0.0.1:8000/path")
        self.url, self.requests, self.failures = url, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(httpx,), daemon=True)

    def __enter__(self) -> UrlLoad:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(2 * _TIMEOUT_S)

    def count(self) -> float:
        """Return the number of responses."""
        return float(self.requests)

    def _work(self, httpx: Any) -> None:
        with httpx.Client(timeout=_TIMEOUT_S) as client:
            while not self._stop.is_set():
                try:
                    answer = client.get(self.url)
                except httpx.TransportError:  # it does not listen yet, or has ended
                    self._stop.wait(_RETRY_S)
                    continue
                self.requests += 1
                self.failures += answer.status_code >= 400
