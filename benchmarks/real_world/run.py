"""Bisect documented leaks of other packages, and find the release that fixed or introduced each.

For each package a workload of a few lines is bisected over its releases on the index: between one
with a leak that its maintainers acknowledged, and one with the fix. The table in README.md is
generated from the measurements, including what was not found.

    python benchmarks/real_world/run.py [NAME ...] [--out DIR]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resleak.errors import ResleakError
from resleak.experiments import bisect
from resleak.harness.plan import CaptureOptions

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
BEGIN, END = "<!-- results -->", "<!-- /results -->"


@dataclass(frozen=True)
class Case:
    """One package with a documented leak.

    `leaky` and `clean` are the ends that are searched between; `documented` is the release that
    its changelog or its issue names for the change.
    """

    workload: str
    package: str
    kind: str
    leaky: str
    clean: str
    documented: str
    issue: str
    steps: int = 120
    beside: tuple[str, ...] = ()


GITHUB = "https://github.com"
CASES = (
    Case("sh_pipes", "sh", "descriptor", "1.12.0", "1.12.14", "1.12.3",
         f"{GITHUB}/amoffat/sh/issues/336"),
    Case("gitpython_index", "GitPython", "descriptor", "3.1.25", "3.1.34", "3.1.26",
         f"{GITHUB}/gitpython-developers/GitPython/issues/1395"),
    Case("aiohttp_methods", "aiohttp", "pure Python", "3.10.6", "3.10.11", "3.10.11",
         f"{GITHUB}/aio-libs/aiohttp/security/advisories/GHSA-27mf-ghqm-j3j8"),
    Case("aiohttp_methods", "aiohttp", "pure Python, introduction", "3.10.10", "3.10.4",
         "3.10.6", f"{GITHUB}/aio-libs/aiohttp/security/advisories/GHSA-27mf-ghqm-j3j8"),
    Case("async_lru_errors", "async-lru", "task", "2.0.2", "2.1.0", "2.0.5",
         f"{GITHUB}/aio-libs/async-lru/blob/master/CHANGES.rst"),
    Case("multidict_items", "multidict", "native", "6.7.0", "6.9.1", "6.9.1",
         f"{GITHUB}/aio-libs/multidict/security/advisories/GHSA-54p9-h82j-f925"),
    Case("msgspec_ext", "msgspec", "native", "0.20.0", "0.22.0", "0.22.0",
         f"{GITHUB}/msgspec/msgspec/pull/1109"),
    Case("cheroot_server", "cheroot", "thread", "11.0.0", "11.1.2", "no release named",
         f"{GITHUB}/cherrypy/cheroot/pull/794", steps=24),
    Case("slack_client", "slack-sdk", "thread", "3.43.0", "3.47.0", "3.45.0",
         f"{GITHUB}/slackapi/python-slack-sdk/issues/1873", steps=24),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help="packages; all by default")
    parser.add_argument("--out", type=Path, default=Path("build/real_world"))
    options = parser.parse_args()
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for case in CASES:
        if options.names and case.package not in options.names:
            continue
        print(f"== {case.package}: {case.kind}", flush=True)
        known[f"{case.package}, {case.kind}"] = measured(case, options.out)
        RESULTS.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    readme.write_text(f"{before}{BEGIN}\n{table(known)}\n{END}{after}")


def measured(case: Case, out: Path) -> dict[str, Any]:
    begin = time.monotonic()
    about = {"package": case.package, "kind": case.kind, "issue": case.issue}
    about |= {"workload": case.workload, "documented": case.documented}
    try:
        found = bisect.bisect_releases(
            str(HERE / "workloads" / f"{case.workload}.py"), case.package, case.clean, case.leaky,
            CaptureOptions(steps=case.steps, runs=2, out=out / case.kind.replace(" ", "-")),
            beside=case.beside,
            tell=lambda one: print(f"  {one.name}: {one.verdict} ({one.evidence})", flush=True),
        )  # fmt: skip
    except ResleakError as error:
        print(f"  {error}", flush=True)
        return {**about, "failed": str(error)}
    print(f"  {found.sentence}", flush=True)
    took = round(time.monotonic() - begin)
    tried = [
        {"name": one.name, "verdict": one.verdict, "evidence": one.evidence} for one in found.tried
    ]
    return {**about, **found.to_dict(), "tried": tried, "seconds": took}


def table(results: dict[str, dict[str, Any]]) -> str:
    head = "| package | kind | leaky | clean | verdicts that decide | line | found | documented |"
    return "\n".join([head, "|" + "---|" * 8, *map(row, results.values())])


def row(one: dict[str, Any]) -> str:
    package = f"[{one['package']}]({one['issue']})"
    if "failed" in one:
        cells = [package, one["kind"], "", "", f"failed: {one['failed']}", "", "–"]
        return "| " + " | ".join([*cells, one["documented"]]) + " |"
    leaky, clean = (one["last"], one["first"]) if one["fixed"] else (one["first"], one["last"])
    told = {tried["name"]: tried for tried in one["tried"]}
    verdicts = f"{told[leaky]['evidence']} → {told[clean]['evidence']}"
    found = one["first"] + (f" (undecided: {', '.join(one['between'])})" if one["between"] else "")
    word = "fix" if one["fixed"] else "leak"
    cells = [
        package,
        one["kind"],
        leaky,
        clean,
        verdicts,
        one["line"],
        f"{word} in {found}",
    ]
    return "| " + " | ".join([*cells, one["documented"]]) + " |"


if __name__ == "__main__":
    main()
