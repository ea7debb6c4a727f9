"""Call stacks of several captures as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from resleak.analysis.stacks.columns import Columns, column, rows

_FRAME = ("function", "file", "line")
_TYPES = {"node": np.int64, "parent": np.int64, "line": np.int64, "studied": bool}


def merged(stacks: Sequence[Columns]) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Join several tables of stacks; return the joined one and the nodes there of each.

    The joined table has ``node parent function file line studied depth``.
    """
    if len(stacks) == 1:  # as it is: nothing to look up
        joined = {n: column(stacks[0], n) for n in ("node", "parent", *_FRAME, "studied")}
        nodes = [np.arange(len(joined["node"]))]
    else:
        joined, nodes = _looked_up(stacks)
    typed = {name: values.astype(_TYPES.get(name, object)) for name, values in joined.items()}
    return typed | {"depth": _depths(typed["parent"])}, nodes


def _looked_up(stacks: Sequence[Columns]) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    numbers: dict[tuple[Any, ...], int] = {}
    studied: list[bool] = []
    nodes = [np.array(list(_entered(s, numbers, studied)), dtype=np.int64) for s in stacks]
    columns = list(zip(*numbers, strict=True)) or [()] * (1 + len(_FRAME))
    joined = {
        name: np.array(values, dtype=object)
        for name, values in zip(("parent", *_FRAME), columns, strict=True)
    }
    number = np.arange(len(numbers))
    return {"node": number, **joined, "studied": np.array(studied, dtype=bool)}, nodes


def _entered(
    stacks: Columns, numbers: dict[tuple[Any, ...], int], studied: list[bool]
) -> Iterator[int]:
    places: list[int] = []
    for parent, *frame, is_studied in rows(stacks, ("parent", *_FRAME, "studied")):
        key = (places[parent] if parent >= 0 else -1, *frame)
        if key not in numbers:
            numbers[key] = len(numbers)
            studied.append(is_studied)
        places.append(numbers[key])
        yield numbers[key]


def _depths(parents: np.ndarray) -> np.ndarray:
    depths: list[int] = []
    for parent in parents.tolist():
        depths.append(depths[parent] + 1 if parent >= 0 else 0)
    return np.array(depths, dtype=np.int64)
