"""No private text is left in the captures of a report, and these load completely."""

from __future__ import annotations

import base64
import json
import lzma
from pathlib import Path

import numpy as np
import pytest
from helpers import stored

from resleak.captures import archive, frames, load, pack, storage, tables
from resleak.report.redact import Redactor

PRIVATE = "correcthorse"
GAUGE = f"{PRIVATE}_items"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a capture whose names, units and texts hold a private value."""
    folder = tmp_path / "c" / PRIVATE / "v" / "gauges-01"
    capture = next(stored.unpacked("control/do_nothing").rglob("gauges-01"))
    manifest = json.loads((capture / "manifest.json").read_text())
    scenario = manifest["scenario"]
    own = {"name": GAUGE, "unit": f"{PRIVATE}s", "kind": "level"}
    template = scenario["own_gauges"][0] if scenario["own_gauges"] else {}
    scenario |= {"name": PRIVATE, "own_gauges": [template | own], "gauges": [GAUGE]}
    scenario["variants"] = {PRIVATE: {"what": PRIVATE, "expect": {GAUGE: "leak"}}}
    manifest |= {"variant": PRIVATE, "scenario": scenario}
    folder.mkdir(parents=True)
    storage.write_json(folder / "manifest.json", manifest)
    trace = frames.Capture(capture).trace
    columns = {str(name): trace[name].to_numpy() for name in trace.columns}
    columns[GAUGE] = np.arange(len(trace), dtype=float)
    tables.write_table(folder / "trace.parquet", columns, {GAUGE: f"{PRIVATE}s"})
    return folder


def test_names_units_and_texts_are_redacted_and_still_fit(folder, tmp_path):
    """A private value is in no byte of the archive, and its gauge is judged under a new name."""
    redactor = Redactor([], "", "", {"MYSQL_PWD": PRIVATE})
    text, left_out = pack.pack([folder], redactor.text)
    assert not left_out
    assert PRIVATE.encode() not in lzma.decompress(base64.b64decode(text))
    report = tmp_path / "report.html"
    report.write_text(f"<html>{archive.script(text)}</html>")
    (capture,) = load.load(report)
    (gauge,) = capture.manifest.scenario.own_gauges
    assert gauge.name in capture.trace.columns
    assert list(capture.manifest.scenario.gauges) == [gauge.name]
    assert capture.trace.attrs["units"][gauge.name] == gauge.unit == "[env MYSQL_PWD]s"
    assert capture.variant in capture.manifest.scenario.variants
    assert redactor.counts["environment value"] > 3
