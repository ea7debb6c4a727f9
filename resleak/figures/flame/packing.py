"""Payloads as they stand in a page: compressed, and as text."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any


def packed(data: bytes) -> str:
    """Return bytes compressed and in base64, the same each time."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def packed_strings(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a payload with its names compressed too, for where nobody has to read them."""
    if not isinstance(payload.get("strings"), list):
        return payload
    names = json.dumps(payload["strings"], ensure_ascii=False).encode("utf-8", "replace")
    rest = {key: value for key, value in payload.items() if key != "strings"}
    return rest | {"packed": packed(names)}
