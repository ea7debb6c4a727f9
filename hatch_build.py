"""Add notebooks, and the captures that they show, to a wheel; see pyproject.toml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Hook(BuildHookInterface):
    """Lays the files of ``[tool.hatch.build.hooks.custom]`` out as they lie in the repository."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add each file; an editable installation reads the repository itself."""
        if version == "editable":
            return
        below = "resleak/shipped/" if self.target_name == "wheel" else ""
        for path in self._files():
            name = path.relative_to(self.root).as_posix()
            build_data["force_include"][str(path)] = f"{below}{name}"

    def _files(self) -> Iterator[Path]:
        root = Path(self.root)
        folders = [f"data/captures/{name}" for name in self.config["captures"]]
        for name in (*self.config["files"], *folders):
            top = root / name
            for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
                is_hidden = any(p.startswith((".", "__")) for p in path.relative_to(root).parts)
                if path.is_file() and not is_hidden:
                    yield path
