"""The stored captures, and which of their scenarios are run again on a push."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from resleak.captures import archive
from resleak.workload import catalog
from resleak.workload.digest import digest
from resleak.workload.scenario import Scenario

CAPTURES = Path(__file__).parents[2] / "data" / "captures"
#: Run on every push: at least one of each system, and together every built-in gauge and verdict,
#: every kind of limit, a scaling cost, an audit, a hang, and a line for each instrument to name.
ALWAYS = {
    "arc/auth_cache",
    "arc/decompression_bomb",
    "arc/pool_deadlock",
    "control/do_nothing",
    "embedder/worker_keeps_process_alive",
    "load_shedding/incomplete_shutdown",
    "pl_drivers/last_lines",
    "sse_streaming/queue_monitoring",
}


def unpacked(name: str) -> Path:
    """Return the folder to which all stored captures of a scenario are unpacked."""
    root = archive.unpack(CAPTURES / name / archive.NAME)
    archive.provide(root / "all tables")
    return root / name


@cache
def manifests(name: str) -> list[dict[str, Any]]:
    """Return the manifests of a scenario's stored captures: they lie before all tables."""
    packed = (CAPTURES / name / archive.NAME).read_bytes()
    first = io.BytesIO(lzma.LZMADecompressor().decompress(packed))
    with tarfile.open(fileobj=first) as tar:
        return [json.load(file) for member in tar if (file := tar.extractfile(member))]


def is_current(name: str) -> bool:
    """Return whether all stored captures of a scenario were made with today's code."""
    return {one.get("digest") for one in manifests(name)} == {digest(catalog.paths()[name])}


@cache
def scenario(name: str) -> Scenario:
    """Return a scenario of the catalogue, imported once."""
    return catalog.load(catalog.locate(name))


def marks(name: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a test that runs a scenario: most of them can wait for the night."""
    return [pytest.mark.nightly] if name not in ALWAYS and is_current(name) else []
