"""The ranking in a sentence, for whatever is going to show it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

from resleak import units

if TYPE_CHECKING:
    import pandas as pd


def in_words(sites: pd.DataFrame, name: Callable[[str], str] = str) -> str:
    """Name the first line of a ranking: its rate, what it surely is, and its share of all growth.

    Parameters
    ----------
    sites : DataFrame
        As `resleak.stacks.sites` returns it. Rates are per ``.attrs["per"]``, a step unless told.
    name : callable
        Marks a name as one, or escapes it: functions and files may come from someone else.

    Returns
    -------
    str
        ``N bytes per step from FILE:LINE in FUNCTION, x % of what grew.``, or that no line grows;
        and another sentence if more of what grew has no line.
    """
    if not len(sites):
        return "no memory profile."
    per = {"s": "second"}.get(str(sites.attrs.get("per", "step")), "step")
    certain = sites[sites["low"] > 0]
    lines, others = certain[certain["file"] != ""], certain[certain["file"] == ""]
    told = [f"no line holds on to more memory with each {per}."]
    if len(lines):
        told = [_accused(lines.iloc[0].to_dict(), per, name)]
    most = others.nlargest(1, "share")
    if len(most) and not most["share"].iloc[0] <= lines["share"].max():
        share, nameless = units.share(float(most["share"].iloc[0])), most["function"].iloc[0]
        told.append(f"{share} of what grew is {name(nameless)}, and has no line.")
    return " ".join(told)


def _accused(site: Mapping[Hashable, Any], per: str, name: Callable[[str], str]) -> str:
    rate, low = (units.amount(float(site[key]), "B") for key in ("bytes_per_step", "low"))
    at_least = f", at least {low}," if low != rate else ""
    where, function = name(f"{site['file']}:{site['line']}"), name(site["function"])
    share = units.share(float(site["share"]))
    return f"{rate} per {per}{at_least} from {where} in {function}, {share} of what grew."
