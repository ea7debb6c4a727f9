"""The ranking in a sentence, for whatever is going to show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from resleak import formatting

if TYPE_CHECKING:
    import pandas as pd


def in_words(sites: pd.DataFrame, name: Callable[[str], str] = str) -> str:
    """Name the first line of a ranking: its rate, what it surely is, and its share of all growth.

    Parameters
    ----------
    sites : DataFrame
        As `resleak.sites` returns it. Rates are per ``.attrs["per"]``, a step unless told.
    name : callable
        Marks a name as one, or escapes it: functions and files may come from someone else.

    Returns
    -------
    str
        ``N bytes per step from FILE:LINE in FUNCTION, x % of what grew.``, or that no line grows;
        and another sentence if more of what grew has no line.
    """
    return told(sites.to_dict("records"), str(sites.attrs.get("per", "step")), name)


def told(sites: Sequence[Mapping[Any, Any]], per: str, name: Callable[[str], str] = str) -> str:
    """Return what `in_words` does, of a ranking as rows."""
    if not sites:
        return "no memory profile."
    per = {"s": "second"}.get(per, "step")
    certain = [site for site in sites if site["low"] > 0]
    lines = [site for site in certain if site["file"]]
    others = [site for site in certain if not site["file"]]
    sentences = [f"no line holds on to more memory with each {per}."]
    if lines:
        sentences = [_accused(lines[0], per, name)]
    most = max(others, key=itemgetter("share"), default=None)
    if most and most["share"] > max((line["share"] for line in lines), default=0.0):
        share = formatting.share(float(most["share"]))
        sentences.append(f"{share} of what grew is {name(most['function'])}, and has no line.")
    return " ".join(sentences)


def _accused(site: Mapping[Any, Any], per: str, name: Callable[[str], str]) -> str:
    rate, low = (formatting.amount(float(site[key]), "B") for key in ("bytes_per_step", "low"))
    at_least = f", at least {low}," if low != rate else ""
    where, function = name(f"{site['file']}:{site['line']}"), name(site["function"])
    share = formatting.share(float(site["share"]))
    return f"{rate} per {per}{at_least} from {where} in {function}, {share} of what grew."
