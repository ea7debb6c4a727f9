"""What a notebook holds at its end: the captures and judgements that its report takes along."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resleak import formatting
from resleak.captures import report_archive, storage
from resleak.captures.manifest import Manifest
from resleak.errors import ResleakError
from resleak.report.redact import Redactor
from resleak.report.summary import Finding, finding

#: What the output of `CELL` is called.
MIME = "application/vnd.resleak.report.collect+json"
#: Run in the notebook's kernel after its last cell.
CELL = "from resleak.report import collect as _collect; _collect.show(globals())"


@dataclass(frozen=True)
class Contents:
    """What a report takes along besides what its notebook shows.

    Attributes
    ----------
    findings : list of Finding
        One for each judgement that has a name in the notebook.
    archive : str
        The captures that have one, as `resleak.captures.report_archive.pack` packs them.
    told : list of (str, str)
        For the footer: what the captures were measured on, and what of them is inside.
    replaced : Counter
        What was taken out of the captures, by kind.
    """

    findings: list[Finding] = field(default_factory=list)
    archive: str = ""
    told: list[tuple[str, str]] = field(default_factory=list)
    replaced: Counter[str] = field(default_factory=Counter)


def show(namespace: Mapping[str, Any]) -> None:
    """Put out what a notebook holds, for `of` to read."""
    from IPython.display import display

    display({MIME: gather(namespace)}, raw=True)  # type: ignore[no-untyped-call]


def gather(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the captures and judgements that have a name, as plain values.

    Parameters
    ----------
    namespace : mapping of str to object
        The notebook's variables.
    """
    from resleak.analysis.verdicts import ScenarioVerdict
    from resleak.captures.frames import Capture, Captures

    values = [value for name, value in namespace.items() if not name.startswith("_")]
    judged = {id(value): value for value in values if isinstance(value, ScenarioVerdict)}
    groups = [value for value in values if isinstance(value, Captures)]
    singles = [value for value in values if isinstance(value, Capture)]
    folders = dict.fromkeys(c.path.resolve() for group in (*groups, singles) for c in group)
    return {
        "findings": [finding(one).to_dict() for one in judged.values()],
        **_packed(list(folders)),
    }


def _packed(folders: list[Path]) -> dict[str, Any]:
    redactor = Redactor.here()
    try:
        archive, left_out = report_archive.pack(folders, redactor.text)
        told = [*_host(folders), *_inside(len(folders), len(left_out))]
    except (ResleakError, OSError):  # the notebook may have removed what it loaded
        return {"archive": "", "told": [("Data", "the captures were gone")], "replaced": {}}
    return {"archive": archive, "told": told, "replaced": dict(redactor.counts)}


def _inside(captures: int, left_out: int) -> list[tuple[str, str]]:
    if not captures:
        return []
    told = f"{captures - left_out} captures, for resleak.load with the name of this file"
    more = f"; {left_out} had no room" if left_out else ""
    return [("Data inside", told + more)]


def _host(folders: Iterable[Path]) -> list[tuple[str, str]]:
    """Return what captures were measured on, where it may make a difference."""
    manifests = [storage.read_manifest(folder) for folder in folders]
    hosts = dict.fromkeys(_machine(told) for told in manifests)
    days = sorted({told.started[:10] for told in manifests} - {""})
    told = [("Measured on", "; ".join(hosts))] if hosts else []
    return told + ([("Measured", " to ".join(dict.fromkeys((days[0], days[-1]))))] if days else [])


def _machine(manifest: Manifest) -> str:
    host, python = manifest.host, manifest.versions
    memory = formatting.amount(float(host.get("memory_bytes") or 0), "B")
    system = f"{host.get('system', '')} {str(host.get('release', '')).partition('-')[0]}"
    parts = (system, host.get("machine"), f"{host.get('cpus')} CPUs", memory, host.get("libc"))
    made = f"{python.implementation} {python.python}"
    return ", ".join(str(part) for part in (*parts, made) if part)


def of(outputs: Iterable[Any]) -> Contents:
    """Return what `CELL` put out; nothing, where it was not run."""
    for output in outputs:
        told = output.get("data", {}).get(MIME)
        if told:
            findings = [Finding(**one) for one in told["findings"]]
            facts = [(str(name), str(value)) for name, value in told["told"]]
            return Contents(findings, told["archive"], facts, Counter(told["replaced"]))
    return Contents()
