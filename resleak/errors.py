"""What a user can do wrong: each error says what was wrong and what to do about it."""

from __future__ import annotations


class ResleakError(Exception):
    """Base of every error that resleak raises on purpose."""


class ScenarioError(ResleakError):
    """A scenario file, name, variant or parameter cannot be used."""


class CaptureError(ResleakError):
    """A run could not be started, finished or stored."""


class ProcessError(ResleakError):
    """A process that was to be watched is not there, has ended, or is someone else's."""


class StoreError(ResleakError):
    """A stored capture is missing, incomplete, damaged or not one of ours."""


class PlatformError(ResleakError):
    """The operating system lacks what the request needs."""


class MissingPackageError(ResleakError):
    """An optional package is not installed; the message has the install command."""


class ShareError(ResleakError):
    """A notebook or report could not be rendered."""


class BudgetError(ResleakError):
    """A file of budgets is missing, malformed, or has a budget that makes no sense."""
