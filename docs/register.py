"""Write the register of claims, judged from the stored captures, into README.md."""

from __future__ import annotations

import re
from pathlib import Path

from resleak import figures
from resleak.analysis import claims_table

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"(?<=<!-- claims -->\n).*?(?=<!-- /claims -->)", re.DOTALL)


def register() -> str:
    """Return the register as Markdown, each system linked to its case."""
    cases = claims_table.cases(ROOT / "notebooks")
    table = claims_table.stored(ROOT / "data" / "captures")
    links = {system: f"notebooks/{name}" for system, name in cases.items()}
    return figures.claims_markdown(table, links) + "\n"


if __name__ == "__main__":
    table = register()
    text = README.read_text(encoding="utf-8")
    README.write_text(BLOCK.sub(lambda _: table, text), encoding="utf-8")
