"""Panels for notebooks: run a scenario and watch it, compare any two captures."""

from __future__ import annotations

from resleak.ui.panel.compare_panel import Comparing
from resleak.ui.panel.run_panel import Panel

__all__ = ["Comparing", "Panel"]
