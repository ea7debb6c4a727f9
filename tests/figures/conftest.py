"""A browser that opens flame graphs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from helpers import flames
from helpers.flame_pages import DESK, HEAD, Open, Reader

from resleak.figures import Flame, flamegraph

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens flame graphs, one below the other."""
    pages: list[Page] = []

    def open_them(*shown: Flame, scheme: str = "light", size: Any = DESK, **more: Any) -> Reader:
        path = tmp_path / f"{len(pages)}.html"
        parts = [flame._repr_mimebundle_()["text/html"] for flame in shown]
        path.write_text(HEAD + "".join(parts), encoding="utf-8")
        page = browser.new_page(color_scheme=scheme, viewport=size, **more)
        pages.append(page)
        reader = Reader(page)
        reader.open(path)
        return reader

    yield open_them
    for page in pages:
        page.close()


@pytest.fixture
def reader(opened: Open) -> Reader:
    """Open the small service: 33 B/step, of which ``main`` has 31.5."""
    return opened(flamegraph(flames.service(), title="a service"))
