"""Collect captures and verdicts from the variables of an executed notebook.

In a kernel this module is an IPython extension (``--ext=resleak.report.collect``): it displays its
`Contents` as JSON when the cell `END` has run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from resleak import formatting
from resleak.captures import pack, storage
from resleak.captures.manifest import Manifest
from resleak.errors import ResleakError
from resleak.report.redact import Redactor
from resleak.report.summary import Finding, finding

#: MIME type of the output with the contents.
MIME = "application/vnd.resleak.report.collect+json"
#: A cell after the last one of a notebook; it does nothing.
END = "# end of the notebook"


@dataclass(frozen=True)
class Contents:
    """The parts of a report besides its cells: verdicts, captures, facts for the footer."""

    #: One per verdict with a name in the notebook.
    findings: list[Finding] = field(default_factory=list)
    #: Captures with a name in the notebook, packed by `resleak.captures.pack`.
    archive: str = ""
    #: For the footer: on what the captures were measured, and how many are inside.
    facts: list[tuple[str, str]] = field(default_factory=list)
    #: Number of replacements in the captures, by kind.
    replaced: dict[str, int] = field(default_factory=dict)


def load_ipython_extension(shell: Any) -> None:
    """Display the contents of a notebook after its cell `END`."""
    # The working folder comes last: a file there hides no module that is installed.
    sys.path.append("")

    def show(result: Any) -> None:
        if result.info.raw_cell == END:
            from IPython.display import display

            contents = asdict(gather(shell.user_ns))
            display({MIME: contents}, raw=True)  # type: ignore[no-untyped-call]

    shell.events.register("post_run_cell", show)


def displayed(outputs: Iterable[Any]) -> Contents:
    """Return the contents that the extension displayed; empty if it did not."""
    for output in outputs:
        if contents := output.get("data", {}).get(MIME):
            findings = [Finding.parse(one) for one in contents["findings"]]
            facts = [(str(name), str(value)) for name, value in contents["facts"]]
            return Contents(findings, contents["archive"], facts, contents["replaced"])
    return Contents()


def gather(variables: Mapping[str, Any]) -> Contents:
    """Return the captures and verdicts among a notebook's variables."""
    from resleak.analysis.verdicts import ScenarioVerdict
    from resleak.captures.frames import Capture, Captures

    values = [value for name, value in variables.items() if not name.startswith("_")]
    verdicts = {id(value): value for value in values if isinstance(value, ScenarioVerdict)}
    runs = [run for value in values if isinstance(value, Captures) for run in value]
    runs += [value for value in values if isinstance(value, Capture)]
    # Logs, and what is watched, have no folder.
    folders = list(dict.fromkeys(run.path.resolve() for run in runs if run.path != Path()))
    findings = [
        finding(one, [run for run in runs if run.scenario == one.scenario["name"]])
        for one in verdicts.values()
    ]
    redactor, facts = Redactor.here(), []
    try:
        archive, left_out = pack.pack(folders, redactor.text)
        manifests = [storage.read_manifest(folder) for folder in folders]
    except (ResleakError, OSError):  # the notebook may have removed what it loaded
        return Contents(findings, facts=[("Data", "the captures were gone")])
    if manifests:
        facts.append(("Measured on", "; ".join(dict.fromkeys(map(_host, manifests)))))
        if days := sorted({manifest.started[:10] for manifest in manifests} - {""}):
            facts.append(("Measured", " to ".join(dict.fromkeys((days[0], days[-1])))))
        count = len(folders) - len(left_out)
        omitted = f"; {len(left_out)} omitted for size" if left_out else ""
        data = f"{formatting.counted(count, 'capture')}, read with resleak.load{omitted}"
        facts.append(("Data inside", data))
    return Contents(findings, archive, facts, dict(redactor.counts))


def _host(manifest: Manifest) -> str:
    host, versions = manifest.host, manifest.versions
    memory = formatting.amount(float(host.get("memory_bytes") or 0), "B")
    system = f"{host.get('system', '')} {str(host.get('release', '')).partition('-')[0]}"
    parts = (system, host.get("machine"), f"{host.get('cpus')} CPUs", memory, host.get("libc"))
    python = f"{versions.implementation} {versions.python}"
    return ", ".join(str(part) for part in (*parts, python) if part)
