"""Typed rows: a tuple for code, a DataFrame for people, plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from resleak.captures.files import to_json

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
#: Of the JSON of verdicts and comparisons; ``docs/schema/verdict.json`` describes the former.
SCHEMA_VERSION = 1


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


#: Returns a value as JSON can hold it: a dataclass as a mapping; what is not finite becomes None.
plain = to_json
