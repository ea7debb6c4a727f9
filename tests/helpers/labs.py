"""A JupyterLab of its own for tests: notebooks copied, settings fresh, nobody else's reach."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers import books

from resleak.harness.spawn import Guarded
from resleak.ui.cli.notebooks import lab_command

#: The buttons of a panel that runs scenarios.
RUN, STOP = (f".resleak-panel .jupyter-button:has-text('{name}')" for name in ("Run", "Stop"))
#: A notebook of panels alone, written beside those of the project.
PANELS = "panels.ipynb"
#: Nothing takes that long but on a machine that has twenty other things to do.
_PATIENCE_MS = 90_000
#: What a browser logs by itself: JupyterLab's own doings, that of no page of ours.
_NOT_OURS = ("Download the React DevTools", "[webpack", "webfont", "favicon")


@dataclass(frozen=True)
class Lab:
    """A running server.

    Attributes
    ----------
    url, token : str
        Where it listens, and what it asks for.
    root : Path
        The folder that it serves: ``notebooks`` and ``data``.
    """

    url: str
    token: str
    root: Path

    def address(self, notebook: str) -> str:
        # A workspace each: else the books of others come up with it, and the bar below, which says
        # that a kernel is there, may be speaking of theirs.
        workspace = notebook.removesuffix(".ipynb")
        return f"{self.url}/lab/workspaces/{workspace}/tree/notebooks/{notebook}?token={self.token}"


@contextmanager
def serving(project: Path, root: Path) -> Iterator[Lab]:
    """Start a server on copies of the project's notebooks, as ``resleak lab`` does; end it."""
    shutil.copytree(project / "notebooks", root / "notebooks", ignore=_IGNORED)
    (root / "data").symlink_to(project / "data")
    books.write(
        root / "notebooks" / PANELS,
        "from resleak.ui.panel import Comparing, Panel\nPanel('arc/auth_cache')",
        "Comparing('../data/captures', before='auth_cache leaky', after='auth_cache fixed')",
    )
    port, token = _free_port(), secrets.token_hex(16)
    command = lab_command(root / "notebooks" / "00_start_here.ipynb")
    command += ["--no-browser", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}"]
    with (root / "server.log").open("wb") as log:
        process = Guarded(
            command,
            env=_environment(project, root),
            stdout=log,
            stderr=subprocess.STDOUT,
            patience_s=20,
        )
    lab = Lab(f"http://127.0.0.1:{port}", token, root)
    try:
        _await(lab, process)
        yield lab
    finally:
        process.end()


_IGNORED = shutil.ignore_patterns(".ipynb_checkpoints")


def _environment(project: Path, root: Path) -> dict[str, str]:
    home = root / "home"
    settings = home / "config/lab/user-settings/@jupyterlab/notebook-extension"
    settings.mkdir(parents=True)
    # Else cells that are out of sight are not on the page, and come and go while one looks.
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON"))}
    places = {"HOME": str(home), "JUPYTER_CONFIG_DIR": str(home / "config")}
    places |= {"JUPYTER_DATA_DIR": str(home / "data"), "JUPYTER_RUNTIME_DIR": str(home / "run")}
    places |= {"IPYTHONDIR": str(home / "ipython"), "PYTHONPATH": str(project)}
    return {**kept, **places}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _await(lab: Lab, process: Guarded) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{lab.url}/api?token={lab.token}", timeout=5).close()
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, (lab.root / "server.log").read_text()
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server does not answer")


@dataclass
class Desk:
    """JupyterLab in a page, as a person uses it, and what went wrong or out meanwhile."""

    lab: Lab
    page: Any
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", self._requested)
        self.page.on("console", self._logged)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _requested(self, request: Any) -> None:
        if not request.url.startswith((self.lab.url, "data:", "blob:", "ws://127.0.0.1")):
            self.elsewhere.append(request.url)

    def _logged(self, message: Any) -> None:
        if message.type == "error" and not any(word in message.text for word in _NOT_OURS):
            self.complaints.append(message.text)

    def open(self, notebook: str) -> None:
        """Open a notebook and wait until its kernel is idle."""
        self.page.goto(self.lab.address(notebook))
        self.book.wait_for(timeout=60_000)
        self.idle()

    def open_panel(self) -> None:
        """Open the notebook of panels and run it."""
        self.open(PANELS)
        self.run_all()
        self.seen(RUN)

    def bring(self, what: str) -> None:
        """Wait until it is on the page, and scroll to it."""
        self.seen(what)
        self.book.locator(what).first.scroll_into_view_if_needed()

    def seen(self, what: str) -> None:
        """Wait until it is on the page."""
        self.book.locator(what).first.wait_for(state="attached", timeout=_PATIENCE_MS)

    def gone(self, what: str) -> None:
        """Wait until the book no longer has something."""
        self.book.locator(what).first.wait_for(state="detached", timeout=_PATIENCE_MS)

    def press(self, what: str) -> None:
        """Press a button as soon as it can be pressed."""
        self.book.locator(what).first.click(timeout=_PATIENCE_MS)

    def number(self, label: str, value: int) -> None:
        """Type a number into a field of the panel."""
        place = self.book.get_by_label(label, exact=True).first
        place.fill(str(value))
        place.press("Tab")

    def brightness(self, what: str, of: str) -> int:
        """Return red, green and blue of a colour, added up."""
        colour = self.book.locator(what).first.evaluate(
            "(node, of) => getComputedStyle(node)[of]", of
        )
        return sum(int(float(part)) for part in colour.strip("rgba()").split(",")[:3])

    @property
    def book(self) -> Any:
        """The notebook that is in front."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def idle(self) -> None:
        """Wait until there is a kernel, and it has nothing to do."""
        self.page.get_by_text("(ipykernel) | Idle").wait_for(timeout=_PATIENCE_MS)

    def restart(self) -> None:
        """Restart the kernel, by the menu."""
        self.page.get_by_role("menuitem", name="Kernel", exact=True).click()
        self.page.locator("[data-command='kernelmenu:restart']").first.click()
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.idle()

    def run_all(self) -> None:
        """Run every cell, by the menu, and wait for the last."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        self.book.get_by_text("[1]:").first.wait_for(timeout=_PATIENCE_MS)
        self.idle()
