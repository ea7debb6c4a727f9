"""Whether a fix does harm of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resleak.analysis.verdicts import VariantVerdict


def is_worse(fix: VariantVerdict, leaky: VariantVerdict) -> bool:
    """Return whether a fix has a new symptom, leaks faster, or breaks a limit by half more."""
    for name, words in fix.symptoms.items():
        if name in fix.evidence:
            if words - leaky.symptoms.get(name, set()):
                return True
            after, before = fix.gauge(name), leaky.gauge(name)
            if after and before and after.low > 1.1 * before.high:
                return True
    worst = {limit.limit: abs(limit.worst) for limit in leaky.broken_limits}
    return any(
        abs(limit.worst) > 1.5 * worst.get(limit.limit, float("inf")) for limit in fix.broken_limits
    )
