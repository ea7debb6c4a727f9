"""Causes before and after a change, matched by fingerprint; and lists of known ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from resleak.analysis.causes.model import Cause
from resleak.captures import untrusted
from resleak.errors import StoreError

#: Length of a fingerprint, and the largest file that lists some.
_LENGTH, _BYTES = 12, 1 << 20


@dataclass(frozen=True)
class Changes:
    """Fingerprints of the causes that are gone, new, faster or slower, and as before."""

    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    same: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"{len(ids)} {word}" for word, ids in vars(self).items() if ids]
        return f"causes: {', '.join(parts)}" if parts else ""


def changes(before: Iterable[Cause], after: Iterable[Cause]) -> Changes:
    """Return which causes are gone, new, the same, or changed: with intervals that are apart."""
    old, new = ({one.id: one for one in side} for side in (before, after))
    both = [one for one in new if one in old]
    changed = tuple(one for one in both if _differs(old[one], new[one]))
    return Changes(
        gone=tuple(one for one in old if one not in new),
        new=tuple(one for one in new if one not in old),
        changed=changed,
        same=tuple(one for one in both if one not in changed),
    )


def _differs(old: Cause, new: Cause) -> bool:
    rates = {part.gauge: part for part in old.gauges}
    pairs = [(rates[part.gauge], part) for part in new.gauges if part.gauge in rates]
    return any(before.high < after.low or after.high < before.low for before, after in pairs)


def known(path: Path | None) -> set[str]:
    """Read fingerprints from a file, one a line; ``#`` begins a comment."""
    if path is None:
        return set()
    try:
        lines = untrusted.content(path, _BYTES).decode().splitlines()
    except UnicodeDecodeError:
        raise StoreError(f"cannot read {path}: it is no text") from None
    words = [line.partition("#")[0].strip() for line in lines]
    for number, word in enumerate(words, 1):
        if word and (len(word) != _LENGTH or set(word) - set("0123456789abcdef")):
            raise StoreError(f"{path}, line {number}: {word[:40]!r} is no fingerprint of a cause")
    return {*filter(None, words)}
