"""A counter of requests that a service publishes in the text format of Prometheus."""

from __future__ import annotations

import http.client
import math
import re
import threading
from urllib.parse import urlsplit

from resleak.errors import ProcessError

#: Most bytes of an answer, and seconds to wait for a part of it.
_BYTES, _TIMEOUT_S = 4 << 20, 2.0
#: Largest count: above, floating-point numbers miss some.
_LARGEST = 2.0**53
_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]{0,199}")
_EXAMPLE = "http://127.0.0.1:8000/metrics#http_requests_total"


class WorkCounter:
    """Reads a counter, written ``URL#NAME``, again and again in a thread.

    What its labels tell apart is added up.
    """

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
            raise ProcessError(f"{address[:60]!r} is no counter; write {_EXAMPLE}")
        self.name = url.fragment
        name = re.escape(self.name).encode()
        self._lines = re.compile(
            rb"^%s(?:\{[^\n]*\})?[ \t]+([^ \t\n]{1,40})\s" % name, re.MULTILINE
        )
        self._first, self._falls = math.nan, False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> WorkCounter:
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(2 * _TIMEOUT_S)
        self._connection.close()

    def count(self) -> float:
        """Return the last value; NaN if the last attempt has failed."""
        return math.nan if self.fault else self._value

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
        while not self._falls and not self._stop.wait(self._every_s):
            self.look()
