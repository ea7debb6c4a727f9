"""Panels for notebooks: run a scenario and watch it, compare any two captures."""

from __future__ import annotations

from resleak.panel.comparing import Comparing
from resleak.panel.run import Panel

__all__ = ["Comparing", "Panel"]
