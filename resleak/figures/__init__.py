"""Frames in, figures out: what people look at in a notebook or a report."""

from __future__ import annotations

from resleak.figures._style import quiet, use

__all__ = ["use"]

quiet()
