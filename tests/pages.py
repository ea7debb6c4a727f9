"""What tests of pages in a browser share."""

from __future__ import annotations

from typing import Any


def until(page: Any, expression: str, timeout_ms: int = 30_000) -> None:
    """Wait until an expression is true; the page's policy forbids Playwright's own way to."""
    for _ in range(timeout_ms // 20):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"never true: {expression}")
