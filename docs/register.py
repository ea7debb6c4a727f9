"""Judge the stored captures; write docs/register.md, the register beside them, and README.md."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from resleak import figures
from resleak.analysis import claims_table
from resleak.captures import files, node_results

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CAPTURES = ROOT / "data" / "captures"
PAGE = ROOT / "docs" / "register.md"
RESULT = re.compile(r"(?<=<!-- claims -->\n).*?(?=<!-- /claims -->)", re.DOTALL)
HEAD = """# Register of claims

Five documents describe resource bugs in five systems, and propose fixes. None of the systems was
run: each row is a small program, ported to Python with real components. Some rows also have a check
in Node; where the two differ, Node decides, and the row has both. `make claims` judges the captures
in `data/` and writes this page; `resleak claims` prints the rows.

- **code** is whose code was measured: `document code` as printed, `document words` in the kindest
  reading that an engineer of that project would give, `constructed` where the fault needs a part of
  ours that the document neither prints nor describes, or `ours`.
- **condition** says when it leaks, when the fix holds or fails, and what of it is our addition.
- **other readings** of the document decide nothing: `leaky_…` is another fault or load, with its
  verdict (and its gauge, if it is not the key figure's), and `proposed_…` the fix read or loaded
  otherwise. Where a row can be disputed, see here.
- ◐ *partly*: some of what the document describes occurs; or all of it, and it is no leak (it is
  bounded, or ends with the process), or it is constructed.
- △ *insufficient*: the fault, or part of it, stays; without a fault, the proposal does not do what
  it says. ✗ *harmful*: the fix adds a problem that the old code did not have, or makes one worse.
- A fix is judged under the load of the fault, and as the document ships it: all its printed code,
  with what the plan has before or beside it, and not with what comes later. One that the document
  does not propose, or that the row says was not judged, has no verdict, and a proposal without a
  fault no outcome. Our own findings are counted apart.
- `tests/node_versions.sh 22 24 26` runs the checks with other versions of Node: all outcomes are
  alike. In 24 an idle server shows some 80 % of `heapTotal`, not 90 % (load_shedding, symptom), and
  garbage grows to some 200 MB (embedder, priority 3). In 26 a `FileHandle` that is collected is an
  error that ends the process (pl_drivers #6), where 20 to 24 close it with a warning.

"""
FOOT = """
## What has no row

Nothing in these can be measured on one machine, or the document says too little to port it.

- **pl_drivers**: `stat` and ranges of `readLocalFile`, and sparse creation (no claim, no code);
  clean-up success rate, degradation near a limit (wishes without code). Thousands of readers:
  `--set readers=3000`; hours of them: `--profile soak`. No limit on concurrent `getLastLines`
  calls: as #1, by the same means. "Memory allocation on each polling cycle": freed with the turn,
  in `polling_loop`.
- **embedder**: clean-up on signals, usage analytics (roadmap lines without code); Windows (not
  here: files open at deletion are counted instead); step 7, to verify the clean-up (no code). "70 %
  of these issues affect real users" and "all embedder, search, and ingestion classes" are
  estimates. "Accumulate resources indefinitely" through WebAssembly was not run (no WASM worker
  here). The alerts on growth, clean-up time, file handles and exit time are budgets, except in 1.2
  and 2.1, judged by the 2 s that a clean-up should take, and 2.3, by the alert for an exit, 10 s.
- **load_shedding**: `ab -n 50000 -c 50 -t 300` (the counter is wrong from two requests on, and no
  load makes it right); "heap correlates with load" and "increasing the threshold does not help"
  (`heap_share` shows that the measure cannot tell). "Heap drops significantly" once idle or after
  all fixes, the compound of race and leaks: they need the deployed server; the rows measure what
  each fix frees. "Locked in memory": the sockets of a reader were counted, its heap was not. "Less
  than 20 % variance" is a budget.
- **arc**: 10,000 operations (`--steps 5000` runs them), 48 hours of staging (`resleak watch`),
  1,000 clients for 5 minutes (`write_rate` with `--profile soak`). Alerts on pool exhaustion,
  "database is locked" and failed creations, error rate +10 %, response time +50 %: they need a
  deployed service and its baseline. Evictions, upload timeouts and health failures are budgets,
  with gauges in `cache_size_estimate`, `storage_timeout` and `health_check`. One pull request or
  several: nothing to measure. "Log spam" of the health check: one line per turn of the loop, which
  is counted. "Never expires" of the token cache: a revoked token stays valid, which is no leak.
  Unit and staging tests, latencies p50 to p99, memory and CPU before and after: wishes, no claim. A
  test of pool exhaustion: `pool_wait` and `pool_size`.
- **sse_streaming**: `curl --limit-rate` (the queue is measured without a network); "disconnected
  but not removed" (no code); `SlowClientError` (never defined); `atexit` alone (closes only the
  synchronous client, as printed); Redis or Kafka (other systems). "Client recreated after close":
  the printed fix refuses that, which is its row. The warning "Unclosed client session": it is
  aiohttp's, httpx has none. "About 9.77 MB": the script's own formula prints 9.54, and its payload
  is one shared constant.
"""


def register(table: pd.DataFrame) -> str:
    """Return the register as Markdown: the result in one line, tables per system, what has none."""
    cases = claims_table.cases(ROOT / "notebooks")
    links = {system: f"../notebooks/{name}" for system, name in cases.items()}
    return f"{introduction(table)}\n{figures.claims_markdown(table, links)}\n{FOOT}"


def introduction(table: pd.DataFrame) -> str:
    """Return how many claims of how many documents were ported, and from which languages."""
    claims = table[(table["claim"] != "") & (table["claimed_by"] == "document")]
    languages = claims.groupby("system")["language"].first()
    others = sorted(set(languages) - {"Python"}, reverse=True)
    foreign = f"{int((languages != 'Python').sum())} of them written in {' or '.join(others)}"
    checks, alone = table["node"] != "", table["python"] == claims_table.NOT_RUN
    ported = int((claims["python"] != claims_table.NOT_RUN).sum())
    results = node_results.below(CAPTURES).values()
    version = " and ".join(sorted({one.node.removeprefix("v") for one in results}))
    return (
        f"{claims['seed'].str[:3].nunique()} documents about {len(languages)} systems ({foreign}) "
        f"make {len(claims)} claims and proposals. We ported {ported} of them to small programs in "
        f"Python, checked {int((checks & ~alone).sum())} of these also in Node {version}, and "
        f"{int(alone.sum())} only there."
    )


if __name__ == "__main__":
    table = claims_table.judged(CAPTURES)
    text = register(table)
    files.write_json(CAPTURES / claims_table.REGISTER, claims_table.plain(table))
    PAGE.write_text(HEAD + text, encoding="utf-8")
    result = "\n".join(text.split("\n")[:2]) + "\n"
    readme = README.read_text(encoding="utf-8")
    README.write_text(RESULT.sub(lambda _: result, readme), encoding="utf-8")
