"""Judge the stored captures and write docs/register.md, and its result into README.md."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from resleak import figures
from resleak.analysis import claims_table

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "register.md"
RESULT = re.compile(r"(?<=<!-- claims -->\n).*?(?=<!-- /claims -->)", re.DOTALL)
HEAD = """# Register of claims

Five documents describe resource bugs in five real systems, and propose fixes. Each claim is a
scenario that was tested: does the problem exist as stated, and does the proposed fix hold?
`make claims` judges the captures in `data/` and writes this page; `resleak claims --markdown`
prints its tables.

"""


def register(table: pd.DataFrame) -> str:
    """Return the register as Markdown: the result in one line, then one table per system."""
    cases = claims_table.cases(ROOT / "notebooks")
    links = {system: f"../notebooks/{name}" for system, name in cases.items()}
    return figures.claims_markdown(table, links) + "\n"


if __name__ == "__main__":
    text = register(claims_table.stored(ROOT / "data" / "captures"))
    PAGE.write_text(HEAD + text, encoding="utf-8")
    result = text.partition("\n")[0] + "\n"
    readme = README.read_text(encoding="utf-8")
    README.write_text(RESULT.sub(lambda _: result, readme), encoding="utf-8")
