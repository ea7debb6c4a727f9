"""The record of a stored run: the question it answers, its key, and its manifest."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from resleak.captures import untrusted
from resleak.captures.manifest import SCHEMA, Manifest

KEY = re.compile(r"[0-9a-f]{32}")
_TABLE = re.compile(r"[a-z_]{1,40}\.parquet")
_ATTEMPT = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """Everything that determines a run, without time, host or path."""

    scenario: str
    variant: str
    instrument: str
    run: int
    seed: int
    steps: int
    params: dict[str, Any]
    digest: str  # of the workload's code and helpers
    python: str
    implementation: str
    environment: str  # digest of all installed versions
    packages: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA
    canary: str = ""  # a host and an hour

    @property
    def key(self) -> str:
        """The digest of the question: the same question has the same key."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Record:
    """A run in a store, written last; `attempt` names its tables, `host` is a pseudonym."""

    spec: RunSpec
    manifest: Manifest
    attempt: str
    files: dict[str, str]
    size: int = 0
    seconds: float = 0.0
    host: str = ""

    @property
    def key(self) -> str:
        """The key of the run."""
        return self.spec.key

    def to_json(self) -> bytes:
        """Return it as JSON, as `parse` takes it."""
        value = {**vars(self), "spec": asdict(self.spec), "manifest": self.manifest.to_json()}
        return json.dumps(value, ensure_ascii=False).encode("utf-8", errors="replace")


def parse(data: bytes, key: str) -> Record:
    """Return a checked, untrusted record, or raise ValueError."""
    value = untrusted.parsed(data)
    Manifest.parse(value.get("manifest") if isinstance(value, dict) else None)
    record: Record = untrusted.build(Record, value)
    spec, manifest = record.spec, record.manifest
    if record.key != key:
        raise ValueError("its key is not that of its contents")
    if not all(map(_TABLE.fullmatch, record.files)) or not _ATTEMPT.fullmatch(record.attempt):
        raise ValueError("it names files that are not tables of a capture")
    stated = (manifest.scenario.name, manifest.variant, manifest.instrument, manifest.run)
    if stated != (spec.scenario, spec.variant, spec.instrument, spec.run):
        raise ValueError("its manifest is that of another run")
    return record
