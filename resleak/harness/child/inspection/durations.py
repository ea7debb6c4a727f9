"""How long each of several things was seen, in one go and in all."""

from __future__ import annotations

from typing import Any

#: Rows that are told; and kept, so that what changes its stack at every look cannot fill memory.
_TOLD, _KEPT = 60, 2000
_NOTHING = {"seconds": 0.0, "longest_s": 0.0, "cpu_s": 0.0}


class Spans:
    """Counts looks at things by key; each row keeps what was told at the last look."""

    def __init__(self) -> None:
        self._rows: dict[Any, dict[str, Any]] = {}

    def add(self, key: Any, now: float, elapsed_s: float, cpu_s: float, /, **told: Any) -> None:
        """Add one look.

        Parameters
        ----------
        key : hashable
            What was seen.
        now, elapsed_s, cpu_s : float
            When, how long after the look before, and how much processor time it took meanwhile, in
            seconds.
        **told
            Replaces what was told of it before.
        """
        if key not in self._rows and len(self._rows) >= _KEPT:
            return
        row = self._rows.setdefault(key, {**_NOTHING, "first_s": now})
        goes_on = now - row.get("last_s", 0.0) <= 1.5 * elapsed_s
        row["run_s"] = (row["run_s"] if goes_on else 0.0) + elapsed_s
        row["seconds"] += elapsed_s
        row["cpu_s"] += cpu_s
        row["longest_s"] = max(row["longest_s"], row["run_s"])
        row.update(told, last_s=now)

    def rows(self) -> list[dict[str, Any]]:
        """Return what was seen longest, in that order."""
        return sorted(self._rows.values(), key=lambda row: -float(row["seconds"]))[:_TOLD]
