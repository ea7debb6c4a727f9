"""Take the pictures of the README and the pages, light, with headless Chromium."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from resleak.report import share

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT / "tests"))

import conftest  # noqa: E402
from helpers.known_causes import LEAKS  # noqa: E402
from helpers.pages import until  # noqa: E402

#: Picture, notebook, element (the top of the page, if empty), width and height in pixels.
PICTURES = (
    ("causes", "mine", ".finding", 900, 900),
    ("report", "23_arc", "", 1120, 1020),
    ("flame", "23_arc", ".resleak-flame >> nth=-1", 1200, 900),
)


def main() -> None:
    """Write the reports, and take every picture."""
    from playwright.sync_api import sync_playwright

    pages = {name: _page(name) for name in {picture[1] for picture in PICTURES}}
    chromium = next(filter(None, map(conftest.shutil.which, conftest._NAMES)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(conftest._FLAGS))
        for name, shown, element, width, height in PICTURES:
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="light",
                device_scale_factor=1.5,
            )
            page.goto(pages[shown].as_uri())
            until(page, "document.documentElement.dataset.height > 0")
            target = IMAGES / f"{name}.png"
            if element:
                page.locator(element).screenshot(path=target)
            else:
                page.screenshot(path=target)
            print(target.relative_to(ROOT), f"{target.stat().st_size / 1000:.0f} kB")
            page.close()
        browser.close()


def _page(name: str) -> Path:
    if name == "mine":
        return _investigated(ROOT / "build" / "pictures")
    return share.share(
        ROOT / "notebooks" / f"{name}.ipynb", ROOT / "build/reports" / f"{name}.html"
    )


def _investigated(folder: Path) -> Path:
    """Investigate a file with two leaks, and return its report."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.py").write_text(re.sub(" +# leak .", "", LEAKS["two"][0]).lstrip())
    command = [sys.executable, "-m", "resleak", "investigate", "mine.py", "-o", "mine.html"]
    ended = subprocess.run(command, cwd=folder, check=False)
    assert ended.returncode == 1, "the file leaks"
    return folder / "mine.html"


if __name__ == "__main__":
    main()
