"""Typed rows: a tuple for code, a DataFrame for people, plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


class Rows(tuple[T, ...]):
    """A tuple of dataclass instances of one kind; `frame` is the same as a DataFrame."""

    kind: type[T]

    def __new__(cls, kind: type[T], rows: Iterable[T] = ()) -> Rows[T]:
        """Return rows of one dataclass, which gives the columns if there are none."""
        self = super().__new__(cls, tuple(rows))
        self.kind = kind
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.kind, tuple(self)

    @classmethod
    def of(cls, kind: type[T], table: pd.DataFrame | Iterable[T]) -> Rows[T]:
        """Return the rows of a frame; columns that it lacks take their defaults."""
        import pandas as pd

        if not isinstance(table, pd.DataFrame):
            return cls(kind, table)
        names = [name for name in names_of(kind) if name in table.columns]
        records = table[names].itertuples(index=False, name=None) if names else ()
        return cls(kind, (kind(**dict(zip(names, record, strict=True))) for record in records))

    @property
    def frame(self) -> pd.DataFrame:
        """One row per item, one column per field."""
        import pandas as pd

        names = names_of(self.kind)
        return pd.DataFrame([[getattr(row, n) for n in names] for row in self], columns=names)

    def _repr_html_(self) -> str:
        return str(self.frame.to_html(index=False))


def names_of(kind: type) -> list[str]:
    """Return the names of a dataclass's fields."""
    return [field.name for field in fields(kind)]


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what is not finite becomes None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in names_of(type(value))}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
